/**
 * Goal: a compaction keeps exactly what it was told to keep, with seqs, times, types and bytes, and
 * every way of looking at the channel agrees afterwards, after a reopen, and without derived files.
 * Method: channels with small segments, compared record by record with what was appended.
 */
import { linkSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ReadOptions } from '../../src/channel/read-options.js';
import type { CompactOptions } from '../../src/channel/survivors.js';
import { generationName } from '../../src/format/file-name.js';
import { MAX_SEQ_DELTA } from '../../src/format/index-entry.js';
import { Redex } from '../../src/store/redex.js';
import { Random, worst } from '../../src/testing/choices.js';
import { Lab, LARGE, payload, payloadId, parseDat, readFile } from '../support/channel-kit.js';
import { finish, generationsIn } from '../support/compact-lab.js';
import { rowOf, timeOf, type Row } from '../support/compact-model.js';
import { RealStore } from '../support/store-kit.js';

const SMALL = { sync: 'never', segmentBytes: 4096 } as const;

async function rowsOf(lab: Lab, channel: Channel): Promise<Row[]> {
  return (await finish(lab, channel.readBatch())).map(rowOf);
}

/** One record for each id, with a type and a time of its own. */
async function fill(lab: Lab, channel: Channel, ids: readonly number[], size = 300): Promise<void> {
  for (const id of ids) {
    const options = { type: id % 7, timestampNs: timeOf(id) };
    await finish(lab, channel.append(payload(id, size), options));
  }
}

const upTo = (count: number, from = 1): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

const keepIds = (keeps: (id: number) => boolean): CompactOptions => ({
  keep: (record) => keeps(payloadId(record.payload) ?? -1),
});

function datFiles(lab: Lab, generation: number): string[] {
  const directory = `${lab.directory}/${generationName(generation)}`;
  return lab.disk
    .readDirectorySync(directory)
    .map(({ name }) => `${directory}/${name}`)
    .filter((path) => path.endsWith('.dat'))
    .toSorted();
}

function dropDerived(lab: Lab, generation: number): void {
  const directory = `${lab.directory}/${generationName(generation)}`;
  for (const { name } of lab.disk.readDirectorySync(directory)) {
    if (!name.endsWith('.dat')) lab.disk.unlinkSync(`${directory}/${name}`);
  }
}

async function iterate(lab: Lab, channel: Channel, options: ReadOptions): Promise<Row[]> {
  const rows: Row[] = [];
  const records = channel.read(options);
  for (;;) {
    const step = await finish(lab, records.next());
    if (step.done === true) return rows;
    rows.push(rowOf(step.value));
  }
}

/** Every look-up says what `rows` says. */
async function expectRows(lab: Lab, channel: Channel, rows: readonly Row[]): Promise<void> {
  expect(await rowsOf(lab, channel)).toEqual(rows);
  expect(channel.count).toBe(rows.length);
  const seqs = new Set(rows.map(({ seq }) => seq));
  for (const row of rows) {
    const record = await finish(lab, channel.get(row.seq));
    expect(record === undefined ? undefined : rowOf(record)).toEqual(row);
    expect(await finish(lab, channel.seqAt(row.timestampNs))).toBe(row.seq);
    const free = row.seq + 1;
    if (!seqs.has(free)) expect(await finish(lab, channel.get(free))).toBeUndefined();
  }
  const last = await finish(lab, channel.last(5));
  expect(last.map(rowOf)).toEqual(rows.slice(-5));
  expect(await iterate(lab, channel, { reverse: true })).toEqual(rows.toReversed());
  const middle = rows[rows.length >> 1];
  if (middle === undefined) return;
  const later = await iterate(lab, channel, { fromTime: middle.timestampNs });
  expect(later).toEqual(rows.slice(rows.length >> 1));
}

/** The same now, after a close, after a cut, and when idx and ts are gone. */
async function expectEverywhere(lab: Lab, channel: Channel, rows: readonly Row[]): Promise<void> {
  await expectRows(lab, channel, rows);
  const { nextSeq } = channel;
  const { generation } = await channel.stats();
  await finish(lab, channel.close());
  const reopened = await lab.open(SMALL);
  await expectRows(lab, reopened, rows);
  expect(reopened.nextSeq).toBe(nextSeq);
  await finish(lab, reopened.close());
  dropDerived(lab, generation);
  const bare = await lab.open(SMALL);
  await expectRows(lab, bare, rows);
  const cut = lab.cut(worst);
  await expectRows(cut, await cut.open(SMALL), rows);
}

test('survivors keep seq, time, type and bytes, and seqs go on', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(60));
  const before = await rowsOf(lab, channel);
  const report = await finish(lab, channel.compact(keepIds((id) => id % 3 === 0)));
  expect(report).toMatchObject({ compacted: true, recordsBefore: 60, recordsAfter: 20 });
  const kept = before.filter(({ id }) => (id ?? 0) % 3 === 0);
  expect(await finish(lab, channel.append(payload(61), { timestampNs: timeOf(61) }))).toBe(60);
  const [added] = (await finish(lab, channel.last(1))).map(rowOf);
  await expectEverywhere(lab, channel, added === undefined ? kept : [...kept, added]);
});

test('the latest of each key stays, and every record without one', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(50));
  const before = await rowsOf(lab, channel);
  const key: CompactOptions['key'] = ({ type }) => (type === 0 ? undefined : `k${type}`);
  await finish(lab, channel.compact({ key }));
  const isLatest = (row: Row): boolean =>
    row.type === 0 || !before.some(({ type, seq }) => type === row.type && seq > row.seq);
  await expectEverywhere(lab, channel, before.filter(isLatest));
});

test('G1: what is only written when the call is made is synced before it condemns', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await finish(lab, lab.open({ sync: 'never' }));
  await finish(lab, channel.append(payload(10), { type: 1, durability: 'synced' }));
  await finish(lab, channel.append(payload(100), { type: 1 }));
  const compacting = channel.compact({ key: () => 'k' });
  await finish(lab, compacting);
  const cut = lab.cut(worst);
  const found = await rowsOf(cut, await cut.open({ sync: 'never' }));
  expect(found.map(({ id }) => id)).toEqual([100]);
});

test('G1: a record at or above the end condemns none below it', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await finish(lab, lab.open({ sync: 'never' }));
  await finish(lab, channel.append(payload(10), { durability: 'synced' }));
  let late: Promise<number> | undefined;
  const key = (): string => {
    late ??= channel.append(payload(100));
    return 'k';
  };
  await finish(lab, channel.compact({ key }));
  await finish(lab, late ?? Promise.reject(new Error('key was never asked')));
  const cut = lab.cut(worst);
  const found = await rowsOf(cut, await cut.open({ sync: 'never' }));
  expect(found.map(({ id }) => id)).toContain(10);
});

test('when nothing is dropped no generation is made', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(40));
  const files = datFiles(lab, 1);
  const bytes = files.slice(0, -1).map((path) => Buffer.from(readFile(lab.disk, path)));
  const report = await finish(lab, channel.compact({ keep: () => true }));
  expect(report).toMatchObject({
    compacted: false,
    recordsBefore: 40,
    recordsAfter: 40,
    writtenBytes: 0,
    linkedBytes: 0,
  });
  expect(report.bytesAfter).toBe(report.bytesBefore);
  expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
  expect(files.slice(0, -1).map((path) => Buffer.from(readFile(lab.disk, path)))).toEqual(bytes);
  // Nothing at all is written when there is nothing new since.
  const { total } = lab.disk.mutations;
  await finish(lab, channel.compact({ keep: () => true }));
  expect(lab.disk.mutations.total).toBe(total);
});

test('everything can be dropped, and an empty channel compacted', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  expect(await finish(lab, channel.compact({ keep: () => false }))).toMatchObject({
    compacted: false,
    recordsBefore: 0,
    recordsAfter: 0,
  });
  await fill(lab, channel, upTo(40));
  const report = await finish(lab, channel.compact({ keep: () => false }));
  expect(report).toMatchObject({ compacted: true, recordsBefore: 40, recordsAfter: 0 });
  expect(await finish(lab, channel.get(3))).toBeUndefined();
  expect(channel.nextSeq).toBe(40);
  await expectEverywhere(lab, channel, []);
  const next = await lab.kill().open(SMALL);
  expect(next.nextSeq).toBe(40);
});

test('many generations: sizes stay bounded, look-ups stay right', async () => {
  const random = new Random(77);
  const lab = new Lab({ seed: 77 });
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(120), 250);
  let id = 120;
  for (let round = 0; round < 14; round++) {
    const before = await rowsOf(lab, channel);
    const doomed = new Set(before.filter(() => random.below(4) === 0).map((row) => row.id));
    const report = await finish(lab, channel.compact(keepIds((each) => !doomed.has(each))));
    const rows = before.filter((row) => !doomed.has(row.id));
    expect(report.recordsAfter, `seed 77, round ${round}`).toBe(rows.length);
    await expectRows(lab, channel, rows);
    const { generation } = await channel.stats();
    for (const path of datFiles(lab, generation)) {
      expect(readFile(lab.disk, path).byteLength).toBeLessThanOrEqual(2 * 4096);
    }
    await fill(lab, channel, upTo(4, id + 1), 250);
    id += 4;
  }
  const { generation } = await channel.stats();
  expect(generation).toBe(15);
  await lab.drain();
  expect(generationsIn(lab.disk, lab.directory)).toEqual([15]);
  await expectEverywhere(lab, channel, await rowsOf(lab, channel));
});

test('a log of which next to nothing survives becomes one small segment', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(200));
  const many = (await channel.stats()).segments;
  await finish(lab, channel.compact(keepIds((id) => id % 50 === 0)));
  expect(many).toBeGreaterThan(10);
  expect((await channel.stats()).segments).toBe(2);
});

test('large records, batches, blocks and records without bytes', async () => {
  const lab = new Lab();
  const options = { sync: 'never', segmentBytes: 4 * 1024 * 1024 } as const;
  const channel = await lab.open(options);
  await finish(lab, channel.append(payload(1, LARGE)));
  await finish(lab, channel.appendBatch(upTo(3000, 2).map((id) => payload(id, 300))));
  await finish(lab, channel.append(new Uint8Array(0), { type: 9 }));
  await finish(lab, channel.append(new Uint8Array(0), { type: 8 }));
  await finish(lab, channel.append(payload(4000, 3 * LARGE)));
  await finish(lab, channel.append(payload(4001, LARGE)));
  const before = await rowsOf(lab, channel);
  const keep: CompactOptions['keep'] = ({ seq, type }) => type === 9 || seq % 2 === 0;
  const report = await finish(lab, channel.compact({ keep }));
  const rows = before.filter(({ seq, type }) => type === 9 || seq % 2 === 0);
  expect(report.recordsAfter).toBe(rows.length);
  expect(await rowsOf(lab, channel)).toEqual(rows);
  const cut = lab.cut(worst);
  const reopened = await cut.open(options);
  expect(await rowsOf(cut, reopened)).toEqual(rows);
  const half = rows[rows.length >> 1];
  expect((await finish(cut, reopened.get(half?.seq ?? 0)))?.byteLength).toBe(half?.size);
});

test('a channel that begins above 0, far skips, and trimmed heads', async () => {
  const lab = new Lab();
  const channel = await lab.open({ ...SMALL, firstSeq: 1000 });
  await fill(lab, channel, upTo(30));
  const far = 1000 + 3 * MAX_SEQ_DELTA;
  await finish(lab, channel.append(payload(31, 300), { seq: far, timestampNs: timeOf(31) }));
  await fill(lab, channel, upTo(30, 32));
  await finish(lab, channel.trim({ beforeSeq: 1007 }));
  const before = await rowsOf(lab, channel);
  expect(before[0]?.seq).toBe(1007);
  const report = await finish(lab, channel.compact(keepIds((id) => id % 2 === 1)));
  const rows = before.filter(({ id }) => (id ?? 0) % 2 === 1);
  expect(report).toMatchObject({ recordsBefore: before.length, recordsAfter: rows.length });
  expect(channel.firstSeq).toBe(1007);
  await expectRows(lab, channel, rows);
  // Again, with a head that is trimmed and has gaps.
  await finish(lab, channel.trim({ beforeSeq: 1012 }));
  const left = rows.filter(({ seq }) => seq >= 1012);
  const again = await finish(lab, channel.compact(keepIds((id) => id % 3 !== 0)));
  const rest = left.filter(({ id }) => (id ?? 0) % 3 !== 0);
  expect(again).toMatchObject({ recordsBefore: left.length, recordsAfter: rest.length });
  await expectEverywhere(lab, channel, rest);
});

test('the figures of the report are those of the files', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(60));
  const report = await finish(lab, channel.compact(keepIds((id) => id > 15)));
  const files = datFiles(lab, 2).map((path) => readFile(lab.disk, path).byteLength);
  const total = files.reduce((sum, bytes) => sum + bytes, 0);
  expect(report.bytesAfter).toBe(total);
  expect(report.bytesAfter).toBe(channel.sizeBytes);
  expect(report.bytesBefore).toBeGreaterThan(report.bytesAfter);
  expect(report.linkedBytes).toBeGreaterThan(0);
  // A rewritten file counts all of its bytes.
  const [rewritten] = datFiles(lab, 2);
  expect(report.writtenBytes).toBe(readFile(lab.disk, rewritten ?? '').byteLength);
  expect(report.durationMs).toBeGreaterThanOrEqual(0);
});

test('a sealed last segment, the next one lost in a cut, is compacted too', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(5));
  await finish(lab, channel.compact(keepIds((id) => id !== 2)));
  const [, empty] = datFiles(lab, 2);
  lab.disk.unlinkSync(empty ?? '');
  const next = lab.kill();
  const opened = await next.open(SMALL);
  const rows = (await rowsOf(next, opened)).filter(({ id }) => id !== 4);
  const report = await finish(next, opened.compact(keepIds((id) => id !== 4)));
  expect(report).toMatchObject({ compacted: true, recordsBefore: 4, recordsAfter: 3 });
  expect(await finish(next, opened.append(payload(6, 300)))).toBe(5);
  await finish(next, opened.sync());
  const cut = next.cut(worst);
  const survived = await rowsOf(cut, await cut.open(SMALL));
  expect(survived.slice(0, -1)).toEqual(rows);
  expect(survived.map(({ id }) => id)).toEqual([1, 3, 5, 6]);
});

test('segments that lose nothing are the same files; without links they are copies', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(60));
  lab.fail('linkSync', /./, 'EMLINK', { times: Infinity });
  const before = await rowsOf(lab, channel);
  const report = await finish(lab, channel.compact(keepIds((id) => id > 15)));
  expect(report.linkedBytes).toBe(0);
  expect(report.writtenBytes).toBeGreaterThan(report.bytesAfter - 1);
  await fill(lab, channel, [61]);
  const rows = [
    ...before.filter(({ id }) => (id ?? 0) > 15),
    ...(await rowsOf(lab, channel)).slice(-1),
  ];
  await expectEverywhere(lab, channel, rows);
});

test('on real files a segment that loses nothing keeps its inode', async () => {
  const store = new RealStore();
  try {
    const redex = await Redex.open(store.directory);
    const channel = await redex.channel('a', { sync: 'never', segmentBytes: 4096 });
    for (const id of upTo(60)) await channel.append(payload(id, 300));
    await channel.sync();
    const directory = `${store.directory}/channels/a`;
    const names = Object.keys(store.tree).filter((name) => name.endsWith('.dat'));
    const second = names.toSorted()[1]?.split('/').at(-1) ?? '';
    // A name of our own keeps the inode after the old generation has gone.
    const witness = `${store.scratch}/witness`;
    linkSync(`${directory}/${generationName(1)}/${second}`, witness);
    const report = await channel.compact(keepIds((id) => id !== 1));
    expect(report.linkedBytes).toBeGreaterThan(report.writtenBytes);
    expect(statSync(`${directory}/${generationName(2)}/${second}`).ino).toBe(statSync(witness).ino);
    await redex.close();
    const again = await Redex.open(store.directory);
    const reopened = await again.channel('a');
    expect((await reopened.readBatch()).map(({ seq }) => seq)).toEqual(upTo(59));
    await again.close();
  } finally {
    store.remove();
  }
});

test('a rewritten segment states nothing that was not known, and is sealed', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  await fill(lab, channel, upTo(60));
  await finish(lab, channel.compact(keepIds((id) => id % 4 === 0)));
  const files = datFiles(lab, 2).map((path) => parseDat(readFile(lab.disk, path)));
  for (const [i, { header, units, sealed }] of files.entries()) {
    expect(header.durableSeq).toBeLessThanOrEqual(header.baseSeq);
    expect(sealed).toBe(i < files.length - 1);
    for (const unit of units) expect(unit.durableSeq).toBeLessThanOrEqual(60);
  }
});

test('options that cannot be meant are refused', async () => {
  const lab = new Lab();
  const channel = await lab.open(SMALL);
  const keep = (): boolean => true;
  const wrong: unknown[] = [
    {},
    { keep, key: () => 'a' },
    { keep: 1 },
    { keep, signal: {} },
    { kep: keep },
  ];
  for (const options of wrong) {
    await expect(channel.compact(options as CompactOptions)).rejects.toThrow(TypeError);
  }
});
