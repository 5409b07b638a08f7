/** A channel as `redex inspect` shows it, to people and to programs. */
import { optionFields, optionsDocument } from './channel-options.js';
import type { ChannelView, GenerationView } from './inspect-channel.js';
import type { SegmentView } from './inspect-segments.js';
import { displayWidth } from './display-width.js';
import { bar } from './progress.js';
import type { Session } from './session.js';
import type { Column } from './table.js';
import { formatMs, formatNanos } from './times.js';
import { counted, formatBytes, formatCount } from './units.js';
import { problemLines } from './view-store.js';
import { MOST_ROWS } from './wrap.js';

const BAR_WIDTH = 8;

export function channelDocument(view: ChannelView): Record<string, unknown> {
  const { name, directory, channelId, cleanNextSeq, stats, options, journalBytes, problems } = view;
  return {
    name,
    directory,
    channelId: channelId ?? null,
    cleanNextSeq: cleanNextSeq ?? null,
    stats: stats === undefined ? null : statsDocument(stats),
    options: options === undefined ? null : optionsDocument(options),
    journalBytes,
    generations: view.generations.map(({ generation, isLive, segments }) => ({
      generation,
      live: isLive,
      segments: segments.map(segmentDocument),
    })),
    checkpoints: view.checkpoints.map(
      ({ file, byteLength, fold, kind, seq, version, problem }) => ({
        file,
        byteLength,
        fold: fold ?? null,
        kind: kind ?? null,
        seq: seq ?? null,
        version: version ?? null,
        problem: problem ?? null,
      }),
    ),
    problems,
  };
}

function statsDocument(stats: NonNullable<ChannelView['stats']>): Record<string, unknown> {
  const { firstSeq, nextSeq, durableSeq, count, sizeBytes, recoveryEpoch } = stats;
  const { generation, segments, created, retentionWait } = stats;
  return {
    firstSeq,
    nextSeq,
    durableSeq,
    count,
    sizeBytes,
    recoveryEpoch,
    generation,
    segments,
    created,
    retentionWait: retentionWait ?? null,
  };
}

function segmentDocument(segment: SegmentView): Record<string, unknown> {
  const { baseSeq, nextSeq, state, problem, recordCount, byteLength, idx, ts } = segment;
  return {
    baseSeq,
    nextSeq: nextSeq ?? null,
    state,
    problem: problem ?? null,
    recordCount: recordCount ?? null,
    torn: segment.torn ?? null,
    byteLength,
    firstTimestampNs: segment.firstTime ?? null,
    lastTimestampNs: segment.lastTime ?? null,
    idx,
    ts,
  };
}

export function channelLines(session: Session, view: ChannelView): string[] {
  const { stats, options, journalBytes, generations, checkpoints, problems } = view;
  const { bad } = session.theme;
  const facts: (readonly [string, string])[] = [
    ['channel', view.name],
    ['id', view.channelId ?? bad('unknown')],
  ];
  if (stats === undefined) facts.push(['state', bad('cannot be opened')]);
  else {
    facts.push(
      ['created', formatMs(stats.created)],
      ['records', formatCount(stats.count)],
      ['seqs', stats.count === 0 ? `none, next ${stats.nextSeq}` : seqsText(stats)],
      ['synced', syncedText(stats)],
      ['size', `${formatBytes(stats.sizeBytes)} in ${counted(stats.segments, 'segment')}`],
      ['epoch', `${stats.recoveryEpoch} (recoveries that cut something)`],
    );
    if (journalBytes > 0)
      facts.push(['journal', `${formatBytes(journalBytes)} of it wait for a checkpoint`]);
  }
  const lines = session.fields([...facts, ...(options === undefined ? [] : optionFields(options))]);
  const wait = stats?.retentionWait;
  if (wait !== undefined) {
    lines.push(`retention waits, and keeps ${formatBytes(wait.heldBytes)} for it:`);
    for (const { name, seq } of wait.folds) lines.push(`  ${name} at ${seq ?? 'no checkpoint'}`);
  }
  for (const generation of generations) lines.push('', ...generationLines(session, generation));
  if (checkpoints.length > 0) lines.push('', ...checkpointLines(session, view));
  return [...lines, ...problemLines(session, view.directory, problems)];
}

const seqsText = ({ firstSeq, nextSeq }: { firstSeq: number; nextSeq: number }): string =>
  `${firstSeq} to ${nextSeq - 1}`;

function syncedText({ durableSeq, nextSeq }: { durableSeq: number; nextSeq: number }): string {
  if (durableSeq >= nextSeq) return 'all of it';
  return `below ${durableSeq} for certain, ${counted(nextSeq - durableSeq, 'record')} may not be`;
}

function generationLines(session: Session, view: GenerationView): string[] {
  const { generation, isLive, segments } = view;
  const { heading, dim } = session.theme;
  const title = `generation ${generation}${isLive ? '' : dim(' (left over)')}`;
  if (segments.length === 0) return [heading(title), dim('no segments')];
  const most = Math.max(...segments.map(({ byteLength }) => byteLength));
  const columns = segmentColumns(session, most);
  const lines = (shown: readonly SegmentColumn[]): string[] =>
    session.table(
      shown.map(({ column }) => column),
      segments.map((segment) => shown.map(({ of }) => of(segment))),
    );
  const fits = (line: string): boolean =>
    !session.out.isTerminal || displayWidth(line) <= session.width;
  const [titles = '', ...table] =
    [...new Set(columns.map(({ rank }) => rank))]
      .toSorted((a, b) => b - a)
      .map((rank) => lines(columns.filter((column) => column.rank <= rank)))
      .find((shown) => shown.every(fits)) ?? lines(columns.filter(({ rank }) => rank === 0));
  return [heading(title), titles, ...middleOut(session, table)];
}

interface SegmentColumn {
  readonly column: Column;
  readonly of: (segment: SegmentView) => string;
  /** On a terminal without room for all, those of the highest rank are left out first. */
  readonly rank: number;
}

function segmentColumns(session: Session, most: number): SegmentColumn[] {
  const { dim, bad, good } = session.theme;
  const right = (title: string): Column => ({ title, align: 'right' });
  const share = ({ byteLength }: SegmentView): number => (most === 0 ? 0 : byteLength / most);
  const columns: SegmentColumn[] = [
    { column: right('base seq'), of: ({ baseSeq }) => String(baseSeq), rank: 0 },
    { column: { title: 'state' }, of: (segment) => stateText(segment, bad, good), rank: 0 },
    { column: right('records'), of: ({ recordCount: n }) => countText(n), rank: 0 },
    { column: right('size'), of: ({ byteLength }) => formatBytes(byteLength), rank: 0 },
    { column: { title: '' }, of: (it) => dim(bar(share(it), BAR_WIDTH)), rank: 3 },
    { column: { title: 'first' }, of: ({ firstTime }) => timeText(firstTime), rank: 2 },
    { column: { title: 'last' }, of: ({ lastTime }) => timeText(lastTime), rank: 1 },
    { column: { title: 'idx/ts' }, of: ({ idx, ts }) => `${idx}/${ts}`, rank: 0 },
  ];
  // The bars are for terminals.
  return session.out.isTerminal ? columns : columns.filter(({ column }) => column.title !== '');
}

const countText = (count: number | undefined): string =>
  count === undefined ? '?' : formatCount(count);

/** Of many the first and the last are shown: the log begins and ends there. */
function middleOut(session: Session, lines: readonly string[]): string[] {
  if (!session.out.isTerminal || lines.length <= MOST_ROWS) return [...lines];
  const half = MOST_ROWS / 2;
  const between = `... ${formatCount(lines.length - MOST_ROWS)} segments between, with --json all`;
  return [...lines.slice(0, half), session.theme.dim(between), ...lines.slice(-half)];
}

function stateText(
  { state, torn }: SegmentView,
  bad: (text: string) => string,
  good: (text: string) => string,
): string {
  if (torn !== undefined && state === 'active') return 'torn tail';
  if (state === 'active') return good(state);
  return state === 'sealed' ? state : bad(state);
}

/** To the second: the rest is in the JSON. */
function timeText(time: bigint | undefined): string {
  return time === undefined
    ? '-'
    : formatNanos(time)
        .replace(/(\.\d+)?Z$/, '')
        .replace('T', ' ');
}

function checkpointLines(session: Session, { checkpoints }: ChannelView): string[] {
  const { bad } = session.theme;
  const rows = checkpoints.map(({ file, fold, kind, seq, version, byteLength, problem }) => [
    fold ?? file,
    problem === undefined ? (kind ?? '') : bad(problem),
    version === undefined ? '?' : String(version),
    seq === undefined ? '?' : String(seq),
    formatBytes(byteLength),
  ]);
  return session.table(
    [
      { title: 'checkpoint', isFlexible: true },
      { title: 'of a' },
      { title: 'version', align: 'right' },
      { title: 'seq', align: 'right' },
      { title: 'size', align: 'right' },
    ],
    rows,
  );
}
