/** `redex verify`: reads and checks every byte of one channel or of all, or only the ends. */
import { RedexError } from '../../core/errors.js';
import type { Channel, Redex, VerifyProblem, VerifyReport, VerifySeverity } from '../../index.js';
import type { CliCommand } from '../command.js';
import { messageOf } from '../failure.js';
import { nameCell } from '../printable.js';
import type { Session } from '../session.js';
import { existingChannel, reading } from '../store.js';
import { counted, formatBytes, formatCount, formatDuration, perSecond } from '../units.js';
import { MOST_ROWS } from '../wrap.js';

/** A problem without the fields that only some have. */
type Found = Partial<VerifyProblem> & Pick<VerifyProblem, 'message'>;

interface Flags {
  readonly quick?: boolean;
}

export interface ChannelVerdict extends Omit<VerifyReport, 'problems' | 'quick'> {
  readonly channel: string;
  readonly problems: readonly Found[];
  /** Code of the error that kept it from being opened. */
  readonly error: string | null;
}

async function verified(
  session: Session,
  channel: Channel,
  { quick }: Flags,
): Promise<ChannelVerdict> {
  const { signal } = session;
  const progress = session.progress(channel.name);
  try {
    const { quick: _, ...report } = await channel.verify({
      quick,
      signal,
      onProgress: ({ bytesDone, bytesTotal }) => progress.update(bytesDone, bytesTotal),
    });
    return { channel: channel.name, ...report, error: null };
  } finally {
    progress.stop();
    await channel.close();
  }
}

/** Without the advice to verify it. */
const verdictOf = (error: RedexError): string =>
  RedexError.is(error, 'CORRUPT') ? error.message : messageOf(error);

/** A channel that cannot even be opened. */
function refused(channel: string, error: RedexError): ChannelVerdict {
  const place = RedexError.is(error, 'CORRUPT')
    ? { path: error.path, position: error.position, check: error.check }
    : {};
  // A newer version, or files that may not be read, are nothing to repair.
  const repair = RedexError.is(error, 'CORRUPT') ? { repair: 'redex repair' } : {};
  return {
    channel,
    ok: false,
    problems: [{ severity: 'damage', ...place, message: verdictOf(error), ...repair }],
    moreProblems: 0,
    recordCount: 0,
    byteCount: 0,
    segmentCount: 0,
    durationMs: 0,
    error: error.code,
  };
}

async function verdictsOf(
  session: Session,
  redex: Redex,
  name: string | undefined,
  flags: Flags,
): Promise<ChannelVerdict[]> {
  if (name !== undefined) {
    try {
      return [await verified(session, await existingChannel(redex, name), flags)];
    } catch (error) {
      if (RedexError.is(error, 'CORRUPT')) return [refused(name, error)];
      throw error;
    }
  }
  const verdicts: ChannelVerdict[] = [];
  for await (const info of redex.channels()) {
    session.signal.throwIfAborted();
    if (info.error !== undefined) {
      verdicts.push(refused(info.name, info.error));
      continue;
    }
    try {
      const channel = await redex.channel(info.name, { createIfMissing: false });
      verdicts.push(await verified(session, channel, flags));
    } catch (error) {
      // Deleted since it was listed.
      if (RedexError.is(error, 'NOT_FOUND')) continue;
      if (!RedexError.is(error, 'CORRUPT')) throw error;
      verdicts.push(refused(info.name, error));
    }
  }
  return verdicts;
}

const SEVERITIES: readonly VerifySeverity[] = ['damage', 'derived', 'note'];

const countOf = ({ problems }: ChannelVerdict, severity: VerifySeverity): number =>
  problems.filter((problem) => problem.severity === severity).length;

const isClean = ({ ok, problems }: ChannelVerdict): boolean => ok && problems.length === 0;

/** Of a newer version, or not to be read by this user: whether it is damaged nobody knows. */
const isRefused = ({ error }: ChannelVerdict): boolean => error !== null && error !== 'CORRUPT';

export interface Verdicts {
  /** Of the store; paths are shown as they are in it. */
  readonly directory: string;
  readonly quick: boolean;
  readonly channels: readonly ChannelVerdict[];
}

export function verdictLines(session: Session, verdicts: Verdicts): string[] {
  const { channels, quick } = verdicts;
  // Of many those come first about which there is something to say: the others may be left out.
  const isLong = session.out.isTerminal && channels.length > MOST_ROWS;
  const shown = isLong ? channels.toSorted((a, b) => +isClean(a) - +isClean(b)) : channels;
  const rows = shown.map((verdict) => rowOf(session, verdict, quick));
  const [titles = '', ...table] = session.table(
    [
      { title: 'channel', isFlexible: true },
      { title: 'verdict' },
      { title: 'damage', align: 'right' },
      { title: 'derived', align: 'right' },
      { title: 'notes', align: 'right' },
      { title: 'records', align: 'right' },
      { title: 'read', align: 'right' },
      { title: 'segments', align: 'right' },
      { title: 'time', align: 'right' },
    ],
    rows,
  );
  const list = session.bounded(table, 'channels');
  const details = shown.flatMap((verdict) => detailLines(session, verdicts.directory, verdict));
  return [titles, ...list, ...session.bounded(details, 'lines'), '', totalLine(channels, quick)];
}

function rowOf({ theme }: Session, verdict: ChannelVerdict, isQuick: boolean): string[] {
  const { channel, ok, recordCount, byteCount, segmentCount, durationMs } = verdict;
  const { good, bad, warning } = theme;
  const wrong = bad(isRefused(verdict) ? 'unreadable' : 'damaged');
  const word = ok ? (isClean(verdict) ? good('ok') : warning('ok')) : wrong;
  return [
    nameCell(channel),
    word,
    ...SEVERITIES.map((severity) => formatCount(countOf(verdict, severity))),
    isQuick ? '-' : formatCount(recordCount),
    formatBytes(byteCount),
    formatCount(segmentCount),
    formatDuration(durationMs),
  ];
}

function detailLines(session: Session, directory: string, verdict: ChannelVerdict): string[] {
  if (verdict.problems.length === 0) return [];
  const { heading, bad, warning, dim } = session.theme;
  const lines = verdict.problems.flatMap(
    ({ severity, kind, recordsBehind = 0, message, repair }) => {
      const colour = severity === 'damage' ? bad : severity === 'derived' ? warning : dim;
      const behind = `${counted(recordsBehind, 'record')} behind it in its segment verify`;
      return [
        `  ${colour(severity ?? 'damage')} ${kind ?? ''}`.trimEnd(),
        `    ${message.replaceAll(`${directory}/`, '')}`,
        ...(recordsBehind === 0 ? [] : [`    ${dim(behind)}`]),
        ...(repair === undefined ? [] : [`    repair: ${repair}`]),
      ];
    },
  );
  const more = verdict.moreProblems === 0 ? [] : [`  and ${verdict.moreProblems} more`];
  return ['', heading(verdict.channel), ...lines, ...more];
}

function totalLine(verdicts: readonly ChannelVerdict[], isQuick: boolean): string {
  const sum = (of: (verdict: ChannelVerdict) => number): number =>
    verdicts.reduce((total, verdict) => total + of(verdict), 0);
  const bytes = sum(({ byteCount }) => byteCount);
  const ms = sum(({ durationMs }) => durationMs);
  const unreadable = verdicts.filter(isRefused).length;
  const damaged = verdicts.filter(({ ok }) => !ok).length - unreadable;
  const none = isQuick ? 'no damage seen' : 'nothing is damaged';
  const results = [
    counted(verdicts.length, 'channel'),
    damaged === 0 ? none : `${formatCount(damaged)} damaged`,
    ...(unreadable === 0 ? [] : [`${formatCount(unreadable)} unreadable`]),
  ].join(', ');
  const size = formatBytes(bytes);
  return isQuick
    ? `${results}; only headers, seals and lengths were checked (${size}), no records`
    : `${results}; ${size} read, ${formatBytes(Math.round(perSecond(bytes, ms)))}/s`;
}

export const verify: CliCommand = {
  name: 'verify',
  summary: 'read and check every byte of a channel, or of all',
  description:
    'Reads and checks every byte, and tells all that is wrong with its place, the seqs that it ' +
    'costs and what a repair would do. Changes nothing, takes no lock, and works beside a ' +
    'process that writes. Exits with 1 when something is damaged. With --quick no record is ' +
    'read: it finds files that are missing, cut off or not their own, and damaged headers, ' +
    'seals, manifests and configs, but no damage inside of files.',
  examples: [
    ['redex verify ./data', 'All channels.'],
    ['redex verify ./data orders --json', 'One channel, for a program.'],
    ['redex verify ./data --quick', 'All channels, in milliseconds.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('[channel]', 'name of a channel; all when not given')
      .option('--quick', 'Check headers, seals, lengths and names only; read no record.')
      .action(
        runs((session, directory: string, name: string | undefined, flags: Flags) =>
          reading(directory, async (redex) => {
            const channels = await verdictsOf(session, redex, name, flags);
            const ok = channels.every((verdict) => verdict.ok);
            if (!ok) session.problem();
            const quick = flags.quick === true;
            const { directory: path } = redex;
            await session.show({ directory: path, ok, quick, channels }, () =>
              verdictLines(session, { directory: path, quick, channels }),
            );
          }),
        ),
      );
  },
};
