/**
 * One damage to an image: what is read without a lock, and with one, is compared with the truth by
 * every way there is to read; what is said about the damage is compared with the damage. All that
 * is wrong comes back as text.
 */
import type { Channel } from '../../src/channel/channel.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import type { VerifyReport } from '../../src/channel/verify-report.js';
import { RedexError } from '../../src/core/errors.js';
import { parentOf } from '../../src/fs/whole-file.js';
import { Redex } from '../../src/store/redex.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { costOf, touched, type Cost } from './corruption-cost.js';
import { isInJournal, isJournaled } from './corruption-journal.js';
import {
  bytesOf,
  CorruptFs,
  damaged,
  describeDamage,
  kindOfFile,
  type Damage,
  type Files,
} from './corruption-fs.js';
import { observe, type Observed } from './corruption-observe.js';
import { NAMES, type Image, type Name } from './corruption-store.js';
import { channelPath, DATA } from './store-kit.js';

/**
 * - `refused`: the store or the channel does not open.
 * - `lost`: reads of the records that were hit reject with CORRUPT.
 * - `cut`: recovery has taken it for a torn tail, above all that was proven.
 * - `damage`, `derived`, `note`: verify says so; no record is lost.
 * - `passed over`: a checkpoint that a fold has not used, and has said so.
 * - `unseen`: nobody says anything, and nothing is lost.
 */
type Outcome =
  'refused' | 'lost' | 'cut' | 'damage' | 'derived' | 'note' | 'passed over' | 'unseen';

export interface Finding {
  readonly damage: Damage;
  readonly outcome: Outcome;
  readonly wrong: readonly string[];
}

export async function checkDamage(image: Image, damage: Damage): Promise<Finding> {
  const check = new DamageCheck(image, damage);
  const outcome = await check.run();
  const what = `${image.name}: ${describeDamage(damage)}`;
  return { damage, outcome, wrong: check.wrong.map((text) => `${what}: ${text}`) };
}

const RANKED: readonly Outcome[] = [
  'refused',
  'lost',
  'cut',
  'damage',
  'derived',
  'note',
  'passed over',
  'unseen',
];

class DamageCheck {
  readonly wrong: string[] = [];
  readonly #image: Image;
  readonly #damage: Damage;
  readonly #files: Files;
  readonly #paths: readonly string[];
  #seen = new Set<Outcome>(['unseen']);

  constructor(image: Image, damage: Damage) {
    this.#image = image;
    this.#damage = damage;
    this.#files = damaged(image.files, damage);
    this.#paths = touched(damage);
  }

  async run(): Promise<Outcome> {
    const all = NAMES.filter((name) => {
      return this.#paths.some((path) => path.startsWith(`${channelPath(name)}/`));
    });
    const names = all.length === 0 ? NAMES : all;
    await this.#look(names, true);
    await this.#look(names, false);
    return RANKED.find((outcome) => this.#seen.has(outcome)) ?? 'unseen';
  }

  async #look(names: readonly Name[], readOnly: boolean): Promise<void> {
    const fs = new CorruptFs(this.#files);
    const runtime = new ManualRuntime({ seed: 6, ioOrder: 'immediate', startMs: 1.8e12 });
    const reports: RecoveryReport[] = [];
    const logger = {
      ...SILENT,
      warn: (message: string) => {
        if (message === 'a checkpoint is not used') this.#seen.add('passed over');
      },
    };
    let redex: Redex;
    try {
      redex = await Redex.open(DATA, {
        fs,
        runtime,
        readOnly,
        logger,
        createIfMissing: false,
        onRecovery: (report) => void reports.push(report),
      });
    } catch (error) {
      this.#refusal(error, costOf(this.#image, 'ledger', this.#damage));
      return;
    }
    for (const name of names) await this.#channel(redex, name, readOnly, fs, reports);
    await redex.close();
    if (readOnly && fs.changes > 0) this.wrong.push(`a reader has made ${fs.changes} changes`);
    if (!readOnly) this.#checkKept(fs);
  }

  async #channel(
    redex: Redex,
    name: Name,
    readOnly: boolean,
    fs: CorruptFs,
    reports: readonly RecoveryReport[],
  ): Promise<void> {
    const cost = costOf(this.#image, name, this.#damage);
    const before = fs.changes;
    let channel: Channel;
    try {
      channel = await redex.channel(name, { createIfMissing: false });
    } catch (error) {
      this.#refusal(error, cost);
      if (fs.changes > before) this.wrong.push(`a refused open has made changes`);
      return;
    }
    const side = `${name}${readOnly ? ', read-only' : ''}`;
    const report = reports.find((one) => one.channel === name);
    if (report?.damage !== undefined && fs.changes > before) {
      this.wrong.push(`${side}: an open that found damage has made changes`);
    }
    if (readOnly) this.#verified(await channel.verify());
    const observed = await observe(channel, this.#image.channels[name]);
    this.#observed(side, observed, cost);
    const end = channel.nextSeq;
    // The witnesses in a file of another channel count, so that nothing is cut because of them.
    const isBeyond = end > this.#image.channels[name].nextSeq;
    if (isBeyond && this.#damage.kind !== 'swap') this.wrong.push(`${side}: ends at ${end}`);
    const cuts = report?.tornTail?.regions.map(({ path }) => path) ?? [];
    if (cuts.some((path) => this.#paths.includes(path))) this.#seen.add('cut');
    if (end < this.#image.channels[name].nextSeq) this.#ended(side, end, cost, readOnly);
    if (readOnly) return;
    try {
      const seq = await channel.append('next', { durability: 'synced' });
      if (seq !== end) this.wrong.push(`${side}: the next record got ${seq}, not ${end}`);
    } catch (error) {
      // What cannot be redone into a damaged file leaves the channel to its readers (RULES J4).
      const isHeld = isJournaled(this.#image.files, name);
      const isKnown = report?.damage !== undefined || isHeld;
      const mayBe = RedexError.is(error, 'CORRUPT') && isKnown;
      if (!mayBe) this.wrong.push(`${side}: an append rejects with ${String(error)}`);
      else this.#named(side, error, cost);
    }
  }

  /** The log ends before it should: a torn tail, or a reader that cannot know better. */
  #ended(side: string, end: number, cost: Cost, readOnly: boolean): void {
    if (end < cost.proven) this.wrong.push(`${side}: ends at ${end}, and ${cost.proven} is proven`);
    if (end < cost.suffixFrom) this.wrong.push(`${side}: ends at ${end}, before the damage`);
    if (!readOnly) this.#seen.add('cut');
  }

  #refusal(error: unknown, { mayRefuse }: Cost): void {
    const isKnown = RedexError.is(error, 'CORRUPT') || RedexError.is(error, 'FORMAT_VERSION');
    if (!isKnown || !mayRefuse) this.wrong.push(`refused: ${String(error)}`);
    else if (!this.#isTold(error.path)) this.wrong.push(`refused because of ${error.path}`);
    this.#seen.add('refused');
  }

  /** The control block tells which segment of the journal is missing. */
  #isTold(path: string): boolean {
    return this.#paths.some((hit) => hit === path || (isInJournal(hit) && isInJournal(path)));
  }

  #verified({ problems }: VerifyReport): void {
    const own = problems.filter(({ path }) => this.#paths.includes(path));
    for (const { severity } of own) this.#seen.add(severity);
    if (this.#damage.kind !== 'bit') return;
    // What a power cut has left of derived files is wrong as it is.
    if (own.length > 1 && this.#image.name === 'closed')
      this.wrong.push(`verify says it ${own.length} times`);
    const other = problems.filter(({ path, severity }) => {
      return severity === 'damage' && !this.#paths.includes(path);
    });
    if (other.length > 0) this.wrong.push(`verify says: ${other[0]?.message}`);
  }

  #observed(side: string, observed: Observed, cost: Cost): void {
    for (const text of observed.wrong) this.wrong.push(`${side}: ${text}`);
    for (const [way, seqs] of observed.lost) {
      const others = seqs.filter((seq) => !cost.lost.has(seq) && seq < cost.suffixFrom);
      if (others.length > 0) this.wrong.push(`${side}: ${way} loses ${others.join()}`);
      if (seqs.length > 0) this.#seen.add('lost');
    }
    for (const error of observed.errors) this.#named(side, error, cost);
  }

  /** An error has to name the file, and the place in it. */
  #named(side: string, error: unknown, { positions }: Cost): void {
    if (!RedexError.is(error, 'CORRUPT')) {
      this.wrong.push(`${side}: ${String(error)}`);
      return;
    }
    const { path, position } = error;
    const isPlace = this.#damage.kind !== 'bit' || positions.has(position);
    // Of a file that is not there its neighbours tell.
    const directories = this.#damage.kind === 'missing' ? this.#paths.map(parentOf) : [];
    const isFile = this.#paths.includes(path) || directories.includes(parentOf(path));
    if (!isFile || !isPlace) this.wrong.push(`${side}: ${error.message}`);
  }

  /** What was not cut as a torn tail is still there, byte for byte. */
  #checkKept(fs: CorruptFs): void {
    for (const [path, bytes] of this.#files) {
      if (bytes === undefined || kindOfFile(path) !== 'dat') continue;
      const now = fs.statSync(path) === undefined ? undefined : bytesOf(fs, path);
      const kept = this.#keptBytes(path, bytes.byteLength);
      const same =
        now !== undefined && Buffer.compare(now.subarray(0, kept), bytes.subarray(0, kept)) === 0;
      if (!same && kept > 0) this.wrong.push(`${path} is not what it was`);
    }
  }

  /** How much of a dat file has to be what it was: all that a healthy open keeps, or a cut. */
  #keptBytes(path: string, byteLength: number): number {
    const whole = Math.min(byteLength, this.#image.kept.get(path) ?? 0);
    if (!this.#seen.has('cut')) return whole;
    // A cut begins where a damaged unit begins, and takes later segments along.
    for (const cut of this.#paths) {
      if (parentOf(path) !== parentOf(cut) || path < cut) continue;
      return path === cut ? Math.min(whole, this.#cutAt) : 0;
    }
    return whole;
  }

  get #cutAt(): number {
    if (this.#damage.kind === 'swap') return 0;
    let cutAt = this.#damage.from;
    for (const name of NAMES) {
      const { positions } = costOf(this.#image, name, this.#damage);
      cutAt = Math.min(cutAt, ...positions);
    }
    return cutAt;
  }
}

const nothing = (): void => {};
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };
