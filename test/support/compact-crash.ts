/**
 * Runs random histories with compactions on a disk that crashes, takes images of crashes on the
 * way, and has each of them opened and compared with the model. All chance comes from the seed.
 */
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { RedexError } from '../../src/core/errors.js';
import { choicesFromSeed, Random, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { Lab } from './channel-kit.js';
import { finish, generationsIn } from './compact-lab.js';
import {
  brokenBy,
  CompactModel,
  rowOf,
  type Ledger,
  type LossKind,
  type Row,
} from './compact-model.js';
import { changesState } from './crash-verify.js';

const POLICIES: readonly SyncPolicy[] = ['always', 'never', { everyN: 3 }, { intervalMs: 20 }];
const SEGMENT_BYTES = 4096;

export interface CompactCrashStats {
  images: number;
  nested: number;
  inCompaction: number;
  kills: number;
  compactions: number;
  swapped: number;
  unchanged: number;
  refused: number;
  trims: number;
  orphans: number;
  tornTails: number;
  missingCondemned: number;
  presentCondemned: number;
  wentOn: number;
}

export function noCompactStats(): CompactCrashStats {
  return {
    images: 0,
    nested: 0,
    inCompaction: 0,
    kills: 0,
    compactions: 0,
    swapped: 0,
    unchanged: 0,
    refused: 0,
    trims: 0,
    orphans: 0,
    tornTails: 0,
    missingCondemned: 0,
    presentCondemned: 0,
    wentOn: 0,
  };
}

interface Image {
  readonly fs: CrashFs;
  readonly ledger: Ledger;
  readonly kind: LossKind;
  readonly place: string;
}

/** Waits until nothing but the live generation is there. */
async function swept(lab: Lab, live: number): Promise<boolean> {
  for (let round = 0; round < 40; round++) {
    const left = generationsIn(lab.disk, lab.directory);
    if (left.length === 1 && left[0] === live) return true;
    await lab.drain();
  }
  return false;
}

interface Opened {
  readonly lab: Lab;
  readonly channel: Channel;
  readonly rows: readonly Row[];
}

export class CompactCrashRun {
  readonly #stats: CompactCrashStats;
  readonly #random: Random;
  readonly #seed: number;
  readonly #sync: SyncPolicy;
  readonly model: CompactModel;
  readonly #stride: number;
  #lab: Lab;
  #images: Image[] = [];
  #places = 0;
  #compacting = 0;
  #draws: number;

  constructor(seed: number, stats: CompactCrashStats) {
    this.#seed = seed;
    this.#stats = stats;
    this.#random = new Random(seed * 7919 + 13);
    this.#draws = seed * 100_003;
    this.#sync = POLICIES[this.#random.below(POLICIES.length)] ?? 'always';
    this.model = new CompactModel(this.#random.below(2) === 0 ? 'keep' : 'key');
    this.#stride = 1 + this.#random.below(3);
    this.#lab = new Lab({ seed, io: 'random' });
  }

  async run(): Promise<void> {
    const lives = 1 + this.#random.below(3);
    for (let life = 1; life <= lives; life++) {
      await this.#live();
      await this.#verifyAll();
      if (life < lives) this.#next();
    }
  }

  #next(): void {
    const choose = choicesFromSeed((this.#draws += 1));
    if (this.#random.below(2) === 0) this.#lab = this.#lab.kill({}, choose);
    else this.#lab = this.#lab.cut(choose);
  }

  async #live(): Promise<void> {
    const lab = this.#lab;
    const options = { sync: this.#sync, segmentBytes: SEGMENT_BYTES };
    const channel = await finish(lab, lab.open(options));
    const rows = (await finish(lab, channel.readBatch())).map(rowOf);
    this.#require(brokenBy(rows, channel.firstSeq, this.model.ledger(channel), 'power'), 'opened');
    this.model.rebase(rows, channel.firstSeq);
    lab.disk.onOperation = (operation) => {
      if (!changesState(operation)) return;
      this.#places += 1;
      const stride = this.#compacting > 0 ? this.#stride : 4 * this.#stride;
      if (this.#places % stride !== 0 || this.#images.length >= 90) return;
      this.#take(channel, `before ${operation.operation} ${operation.path}`);
    };
    const steps = 10 + this.#random.below(24);
    for (let step = 0; step < steps; step++) await this.#step(lab, channel);
    if (this.#random.below(3) === 0) await finish(lab, channel.close());
    else if (this.#random.below(2) === 0) await this.#letIo(lab, 1000);
    lab.disk.onOperation = undefined;
    this.#require(this.model.broken, 'in a callback');
    this.model.ledger(channel);
  }

  #take(channel: Channel, place: string): void {
    const { disk } = this.#lab;
    const ledger = this.model.ledger(channel);
    const turn = this.#places % 7;
    const choose = choicesFromSeed((this.#draws += 1));
    if (this.#compacting > 0) this.#stats.inCompaction += 1;
    if (turn === 3) this.#images.push({ fs: disk.kill(choose), ledger, kind: 'kill', place });
    else
      this.#images.push({
        fs: disk.crash(turn === 5 ? worst : choose),
        ledger,
        kind: 'power',
        place,
      });
  }

  async #step(lab: Lab, channel: Channel): Promise<void> {
    const random = this.#random;
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const count = 1 + random.below(4);
        const [sizes, types] = this.#records(count);
        const durability = random.below(3) === 0 ? 'synced' : undefined;
        void this.model.append(channel, sizes, types, { durability });
        break;
      }
      case 4: {
        const [sizes, types] = this.#records(1);
        if (this.model.appendSync(channel, sizes, types)) this.#stats.refused += 1;
        break;
      }
      case 5:
        channel.sync().catch((error: unknown) => this.#onError(error));
        break;
      case 6:
        if (random.below(2) === 0) this.#trim(channel);
        else lab.runtime.advance(25);
        break;
      default:
        if (this.#compacting < 2) this.#compact(channel);
    }
    await this.#letIo(lab, random.below(14));
  }

  #records(count: number): [number[], number[]] {
    const random = this.#random;
    const draw = (draws: () => number): number[] => Array.from({ length: count }, draws);
    const sizes = draw(() => (random.below(12) === 0 ? 3000 : 8 + random.below(500)));
    return [sizes, draw(() => random.below(5))];
  }

  #trim(channel: Channel): void {
    const span = channel.durableSeq - channel.firstSeq;
    if (span < 2) return;
    this.#stats.trims += 1;
    const to = channel.firstSeq + this.#random.below(Math.ceil(span / 2));
    this.model.trim(channel, to).catch((error: unknown) => this.#onError(error));
  }

  #compact(channel: Channel): void {
    const salt = this.#random.uint32();
    const share = 1 + this.#random.below(5);
    const drops = (id: number): boolean => (Math.imul(id + 1, salt | 1) >>> 8) % 5 < share;
    this.#compacting += 1;
    this.#stats.compactions += 1;
    this.model
      .compact(channel, drops)
      .then(
        ({ compacted }) => {
          if (compacted) this.#stats.swapped += 1;
          else this.#stats.unchanged += 1;
        },
        (error: unknown) => this.#onError(error),
      )
      .finally(() => {
        this.#compacting -= 1;
      });
  }

  #onError(error: unknown): void {
    if (RedexError.is(error, 'CLOSED')) return;
    this.model.broken ??= `an unexpected error: ${String(error)}`;
  }

  async #letIo(lab: Lab, count: number): Promise<void> {
    for (let i = 0; i <= count; i++) {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      if (!lab.runtime.runIo()) return;
    }
  }

  #require(broken: string | undefined, place: string): void {
    if (broken === undefined) return;
    const sync = JSON.stringify(this.#sync);
    throw new Error(`${broken} [seed ${this.#seed}, ${this.model.mode}, sync ${sync}, ${place}]`);
  }

  async #verifyAll(): Promise<void> {
    const images = this.#images;
    this.#images = [];
    this.#compacting = 0;
    for (const [i, image] of images.entries()) {
      try {
        await this.#verify(image, i + this.#seed);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(`${reason} [image ${image.kind} ${image.place}]`, { cause: error });
      }
    }
  }

  async #open(fs: CrashFs): Promise<Opened> {
    const lab = new Lab({ seed: (this.#draws += 1) & 0xffff }, (given) =>
      fs.kill(undefined, given),
    );
    const onRecovery = (report: { readonly damage: unknown; readonly tornTail: unknown }): void => {
      if (report.damage !== undefined) this.#require('a legal image is called damaged', 'open');
      if (report.tornTail !== undefined) this.#stats.tornTails += 1;
    };
    const options = { sync: this.#sync, segmentBytes: SEGMENT_BYTES, onRecovery };
    const channel = await finish(lab, lab.open(options));
    const rows = (await finish(lab, channel.readBatch())).map(rowOf);
    return { lab, channel, rows };
  }

  async #verify({ fs, ledger, kind, place }: Image, depth: number): Promise<void> {
    const stats = this.#stats;
    stats.images += 1;
    if (kind === 'kill') stats.kills += 1;
    if (generationsIn(fs, this.#lab.directory).length > 1) stats.orphans += 1;
    const opened = await this.#open(fs);
    const { lab, channel, rows } = opened;
    this.#require(brokenBy(rows, channel.firstSeq, ledger, kind), place);
    this.#countCondemned(rows, ledger);
    if (channel.nextSeq < ledger.durableSeq) {
      this.#require(`nextSeq went back to ${channel.nextSeq} from ${ledger.durableSeq}`, place);
    }
    await this.#lookUp(opened, depth);
    if (channel.count !== rows.length) {
      this.#require(`count ${channel.count} of ${rows.length} records`, place);
    }
    const { generation } = await channel.stats();
    if (!(await swept(lab, generation))) this.#require('an orphan generation is left', place);
    if (depth % 3 === 0) await this.#secondOpen(opened, place);
    if (depth % 5 === 1) await this.#goOn(opened, generation, place);
    if (depth % 5 === 3) await this.#crashRecovery({ fs, ledger, kind, place });
  }

  #countCondemned(rows: readonly Row[], { entries }: Ledger): void {
    const ids = new Set(rows.map(({ id }) => id));
    for (const { id, condemned, seq } of entries) {
      if (!condemned || seq === undefined) continue;
      if (ids.has(id)) this.#stats.presentCondemned += 1;
      else this.#stats.missingCondemned += 1;
    }
  }

  async #lookUp({ lab, channel, rows }: Opened, depth: number): Promise<void> {
    const row = rows[depth % Math.max(1, rows.length)];
    if (row === undefined) return;
    // The first look-up in a segment rebuilds its index.
    await finish(lab, channel.get(rows[0]?.seq ?? 0));
    const got = await finish(lab, channel.get(row.seq));
    if (got === undefined || rowOf(got).id !== row.id) this.#require(`get(${row.seq})`, 'look-up');
    const at = await finish(lab, channel.seqAt(row.timestampNs));
    if (at !== row.seq) this.#require(`seqAt gave ${at}, not ${row.seq}`, 'look-up');
    const [last] = await finish(lab, channel.last(1));
    if (last?.seq !== rows.at(-1)?.seq) this.#require(`last(1) gave ${last?.seq}`, 'look-up');
    const free = row.seq + 1;
    if (free >= channel.nextSeq || rows.some(({ seq }) => seq === free)) return;
    const gap = await finish(lab, channel.get(free));
    if (gap !== undefined) this.#require(`get(${free}) is no gap`, 'look-up');
  }

  #same(a: readonly Row[], b: readonly Row[], what: string, place: string): void {
    const text = (rows: readonly Row[]): string => rows.map(({ seq, id }) => `${seq}:${id}`).join();
    if (text(a) !== text(b)) this.#require(`${what}: ${text(b)} instead of ${text(a)}`, place);
  }

  /** A kill after the open and the sweep: the same is there, and nothing is changed. */
  async #secondOpen(first: Opened, place: string): Promise<void> {
    const second = await this.#open(first.lab.disk);
    this.#same(first.rows, second.rows, 'the second open', place);
    const { paths } = second.lab.disk.mutations;
    const changed = paths.filter((path) => !/\.(idx|ts)(\.tmp)?$/.test(path));
    if (this.#sync === 'always' && changed.length > 0) {
      this.#require(`the second open changed ${changed.join(', ')}`, place);
    }
  }

  /** Appends and compacts on the image; what is acknowledged then survives the worst cut. */
  async #goOn({ lab, channel, rows }: Opened, generation: number, place: string): Promise<void> {
    this.#stats.wentOn += 1;
    const extra = rows.length + 5000;
    const model = new CompactModel('keep');
    model.entries = Array.from({ length: extra }, (_, i) => {
      const row = rows.find(({ id }) => id === i + 1);
      const state = row === undefined ? ('absent' as const) : ('synced' as const);
      const { size = 4, type = 0, seq } = row ?? {};
      return { id: i + 1, size, type, seq, state, condemned: false, gone: false };
    });
    model.trimAsked = channel.firstSeq;
    await finish(lab, model.append(channel, [100, 3000, 8], [1, 2, 3], { durability: 'synced' }));
    const report = await finish(
      lab,
      model.compact(channel, (id) => id % 2 === 1),
    );
    await finish(lab, model.append(channel, [100], [1], { durability: 'synced' }));
    const ledger = model.ledger(channel);
    const { generation: after } = await channel.stats();
    if (report.compacted !== after > generation) this.#require('no new generation', place);
    const cut = await this.#open(lab.disk.crash(worst));
    this.#require(brokenBy(cut.rows, cut.channel.firstSeq, ledger, 'power'), `${place}, gone on`);
    const kept = rows.filter(({ id }) => (id ?? 0) % 2 === 0).map(({ seq }) => seq);
    const missing = kept.find((seq) => !cut.rows.some((row) => row.seq === seq));
    if (missing !== undefined) this.#require(`seq ${missing} is lost`, `${place}, gone on`);
  }

  /** Crashes of the recovery and of the sweep after it. */
  async #crashRecovery({ fs, ledger, place }: Image): Promise<void> {
    const cuts: CrashFs[] = [];
    const lab = new Lab({ seed: (this.#draws += 1) & 0xffff }, (given) => {
      const next = fs.kill(undefined, given);
      next.onOperation = (operation) => {
        if (!changesState(operation)) return;
        const choose = choicesFromSeed((this.#draws += 1));
        cuts.push(next.crash(cuts.length % 3 === 2 ? worst : choose));
      };
      return next;
    });
    const options = { sync: this.#sync, segmentBytes: SEGMENT_BYTES };
    const channel = await finish(lab, lab.open(options));
    await swept(lab, (await channel.stats()).generation);
    lab.disk.onOperation = undefined;
    const stride = Math.max(1, Math.ceil(cuts.length / 4));
    for (const cut of cuts.filter((_cut, i) => i % stride === 0)) {
      const again = await this.#open(cut);
      const where = `${place}, crash of its recovery`;
      this.#require(brokenBy(again.rows, again.channel.firstSeq, ledger, 'power'), where);
      const { generation } = await again.channel.stats();
      if (!(await swept(again.lab, generation))) this.#require('an orphan is left', where);
      this.#stats.nested += 1;
    }
  }
}
