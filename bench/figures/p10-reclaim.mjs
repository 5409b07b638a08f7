/** P10: space comes back: 1 GB by retention and by trim, one segment of 16 by compaction. */
import { mkdirSync, rmSync } from 'node:fs';
import { atMost, median, middle } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { runOwn, scaled } from '../lib/compare.mjs';
import { GROUP, mixedPayloads } from '../lib/payloads.mjs';
import { settle } from '../lib/warm.mjs';

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 64 * MIB;
const GONE_BYTES = 1e9;
/** Of full segments; records in frames take a little more than their payloads. */
const FILLED = { reclaim: 1.3e9, compact: 16 * SEGMENT_BYTES * 0.96 };

const ROWS = [
  ours('retention, just opened', 'retention'),
  ours('retention, all segments read before', 'retention', true),
  ours('trim, just opened', 'trim'),
  ours('trim, all segments read before', 'trim', true),
  ours('compaction, one segment of 16 all dead', 'compactWhole'),
  ours('compaction, one segment of 16 half dead', 'compactHalf'),
];

function ours(label, way, scanned = false) {
  return { label, role: 'ours', contender: 'redex', way, scanned };
}

async function runOnce(context, { way, scanned }) {
  const directory = `${context.directory}/reclaim`;
  const { scale } = context;
  const filled = way.startsWith('compact') ? FILLED.compact : FILLED.reclaim;
  const average = mixedPayloads().reduce((sum, { length }) => sum + length, 0) / GROUP;
  const records = scaled(filled / average, scale);
  const segmentBytes = Math.round(SEGMENT_BYTES * scale);
  try {
    mkdirSync(directory, { recursive: true });
    const fill = { task: 'steps', contender: 'redex', directory, records, segmentBytes };
    await runJob({ ...fill, steps: ['open', 'append', 'close'] });
    settle(context.directory);
    const bytes = GONE_BYTES * scale;
    return await runJob({ task: 'reclaim', contender: 'redex', directory, way, bytes, scanned });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function detailsOf(row) {
  if (median(row) === undefined) return [];
  const ms = (pick) => `${middle(row, pick).toFixed(1)} ms`;
  const mib = (pick) => `${(middle(row, pick) / MIB).toFixed(1)} MiB`;
  const control = `before it, idle, ${ms((each) => each.idleLateMs)}`;
  const waits = `without a CPU ${ms((each) => each.cpuWaitMs ?? Number.NaN)}`;
  const late = `loop late at most ${ms((each) => each.loop.maxMs)} (${control}; ${waits})`;
  const back = `space back ${ms((each) => each.spaceBackMs)} after it`;
  const raw = `raw replacement of a small file ${ms((each) => each.rawMs)}`;
  const [{ files, segments, goneSegments }] = row.runs;
  if (!row.way.startsWith('compact')) {
    const gone = `${goneSegments} of ${segments} segments, ${mib((each) => each.goneBytes)}`;
    const split = row.way === 'retention' ? retentionText(ms) : '';
    return [`${gone}; ${split}${late}; ${back}; ${raw}`];
  }
  const wrote = `wrote ${mib((each) => each.wroteBytes ?? each.writtenBytes)}`;
  const share = `of a segment of ${mib((each) => each.segmentBytes)}`;
  const links = `${files.linked} of ${segments} segments linked (${files.segments} after it)`;
  return [`${wrote} ${share}; ${links}; ${late}; ${back}; ${raw}`];
}

const retentionText = (ms) =>
  `configure ${ms((each) => each.configureMs)}, applyRetention ${ms((each) => each.applyMs)}; `;

function checks(results) {
  return results.flatMap((row) => {
    const { label, way } = row;
    if (way.startsWith('compact')) {
      const written = middle(
        row,
        (each) => (each.wroteBytes ?? each.writtenBytes) / each.segmentBytes,
      );
      const others = middle(row, ({ files, segments }) => segments - files.linked);
      return [
        atMost(`${label}: bytes written`, written, 1.1, 'segments'),
        atMost(`${label}: segments that are not the same file`, others, 1, ''),
      ];
    }
    return [
      atMost(`${label}: returns`, median(row), 20, 'ms'),
      atMost(
        `${label}: loop late at most`,
        middle(row, (each) => each.loop.maxMs),
        5,
        'ms',
      ),
      atMost(
        `${label}: space back`,
        middle(row, (each) => each.spaceBackMs),
        1000,
        'ms',
      ),
    ];
  });
}

export const p10 = {
  id: 'P10',
  title: '1 GB goes by retention and by trim; compaction of one segment of 16. Until it resolves',
  durability: 'synced: what went is gone for good',
  unit: 'ms',
  withoutPeers: true,
  run: (context) => runOwn(context, ROWS, { runOnce, detailsOf }),
  checks,
};
