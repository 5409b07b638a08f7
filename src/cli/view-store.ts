/** A store as `redex inspect` shows it, to people and to programs. */
import { keptText, syncText } from './channel-options.js';
import type { JournalLook, LockHolder } from './inspect-files.js';
import type { StoreView } from './inspect-store.js';
import { nameCell } from './printable.js';
import type { Session } from './session.js';
import { formatMs } from './times.js';
import { counted, formatBytes, formatCount } from './units.js';

export function storeDocument(view: StoreView): Record<string, unknown> {
  const { directory, storeId, created, holder, journal, channels, leftovers, problems } = view;
  return {
    directory,
    storeId: storeId ?? null,
    created: created ?? null,
    lock:
      holder === undefined
        ? null
        : {
            pid: holder.pid,
            host: holder.host,
            since: holder.since ?? null,
            alive: holder.isAlive ?? null,
          },
    journal: {
      state: journal.state,
      segments: journal.segments,
      byteLength: journal.byteLength,
      epoch: journal.epoch ?? null,
    },
    channels: channels.map(({ name, firstSeq, nextSeq, count, sizeBytes, error, ...rest }) => ({
      name,
      firstSeq: firstSeq ?? null,
      nextSeq: nextSeq ?? null,
      count: count ?? null,
      sizeBytes: sizeBytes ?? null,
      created: rest.created ?? null,
      error: error === undefined ? null : { code: error.code, message: error.message },
    })),
    leftovers,
    problems,
  };
}

function holderText(session: Session, holder: LockHolder | undefined): string {
  const { good, warning } = session.theme;
  if (holder === undefined) return 'nobody has it open for writing';
  const { pid, host, since, isAlive } = holder;
  const who = `process ${pid} on ${host}${since === undefined ? '' : ` since ${formatMs(since)}`}`;
  if (isAlive === undefined) return who;
  return `${who}, ${isAlive ? good('alive') : warning('gone: it was killed')}`;
}

function journalText(session: Session, journal: JournalLook): string {
  const { state, segments, byteLength, problem } = journal;
  if (state === 'none') return 'none';
  const size = `${counted(segments, 'segment')}, ${formatBytes(byteLength)}`;
  if (state === 'damaged') return `${size}, ${session.theme.bad(problem ?? 'damaged')}`;
  return `${size}, ${state === 'closed' ? 'closed, empty' : 'in use, or to be redone'}`;
}

export function storeLines(session: Session, view: StoreView, prefix: string = ''): string[] {
  const { directory, storeId, created, holder, journal, channels, leftovers, problems } = view;
  const { bad, dim } = session.theme;
  const fields = session.fields([
    ['store', directory],
    ['id', storeId ?? bad('unknown')],
    ['created', created === undefined ? bad('unknown') : formatMs(created)],
    ['open', holderText(session, holder)],
    ['journal', journalText(session, journal)],
    ...(leftovers === 0
      ? []
      : [['leftovers', `of ${counted(leftovers, 'deleted or unfinished channel')}`] as const]),
  ]);
  const rows = channels.map((info) =>
    info.error === undefined
      ? [
          nameCell(info.name),
          formatCount(info.count),
          String(info.firstSeq),
          String(info.nextSeq),
          formatBytes(info.sizeBytes),
          syncText(info.options.sync),
          keptText(info.options.retention),
        ]
      : [nameCell(info.name), bad(info.error.code), '', '', '', '', ''],
  );
  const [titles = '', ...table] = session.table(
    [
      { title: 'channel', isFlexible: true },
      { title: 'records', align: 'right' },
      { title: 'first', align: 'right' },
      { title: 'next', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'sync' },
      { title: 'kept' },
    ],
    rows,
  );
  const none = view.isListed
    ? `no channels${prefix === '' ? '' : ` that begin with '${prefix}'`}`
    : 'its channels cannot be listed';
  const list =
    channels.length === 0 ? [dim(none)] : [titles, ...session.bounded(table, 'channels')];
  return [...fields, '', ...list, ...problemLines(session, directory, problems)];
}

/** Paths are shown as they are in the directory. */
export function problemLines(
  session: Session,
  directory: string,
  problems: readonly string[],
): string[] {
  if (problems.length === 0) return [];
  const { bad } = session.theme;
  const lines = problems.map(
    (problem) => `${bad('problem')}  ${problem.replaceAll(`${directory}/`, '')}`,
  );
  return ['', ...session.bounded(lines, 'problems')];
}
