/**
 * What a channel has promised so far, and whether a crash image keeps it.
 *
 * I1 every record acknowledged as synced is there, with the same bytes in the same order;
 * I2 nothing is there that nobody appended, or that was rejected as absent;
 * I3 what is there is a prefix;
 * I4 batches are whole;
 * I5 what the first open has shown survives an append and the next power cut;
 * I6 under 'always' a second open changes no file;
 * I11 every open succeeds and takes an append that survives the next power cut.
 */
import type { Channel } from '../../src/channel/channel.js';
import type { AppendBatchOptions } from '../../src/channel/record-input.js';
import { RedexError } from '../../src/core/errors.js';
import { choicesFromSeed, worst, type Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { processKill, strict, type Profile } from '../../src/testing/crash-profiles.js';
import { Lab, payload, payloadId, readAll, type Found } from './channel-kit.js';

type State = 'pending' | 'written' | 'synced' | 'absent' | 'unknown';

interface Entry {
  readonly id: number;
  /** Number of the batch; each single append has one of its own. */
  readonly batch: number;
  seq: number | undefined;
  state: State;
}

/** What was promised at one moment. */
export interface Promised {
  readonly entries: readonly Entry[];
  readonly durableSeq: number;
}

export class Model {
  #entries: Entry[] = [];
  #batches = 0;
  channel: Channel | undefined;

  #enter(count: number): Entry[] {
    this.#batches += 1;
    const from = this.#entries.length + 1;
    const batch = this.#batches;
    const entries = Array.from({ length: count }, (_, i): Entry => {
      return { id: from + i, batch, seq: undefined, state: 'pending' };
    });
    this.#entries.push(...entries);
    return entries;
  }

  #acknowledged(entries: readonly Entry[], firstSeq: number, synced: boolean): void {
    for (const [i, entry] of entries.entries()) {
      entry.seq = firstSeq + i;
      entry.state = synced ? 'synced' : 'written';
    }
  }

  #rejected(entries: readonly Entry[], error: unknown): void {
    const outcome = RedexError.is(error, 'IO') ? error.outcome : 'unknown';
    const absent = outcome === 'absent' || RedexError.is(error, 'BUSY');
    for (const entry of entries) entry.state = absent ? 'absent' : 'unknown';
  }

  /** Appends a batch of payloads of these sizes; settles with the append, and never rejects. */
  async append(sizes: readonly number[], options: AppendBatchOptions = {}): Promise<void> {
    const { channel } = this;
    if (channel === undefined) return;
    const entries = this.#enter(sizes.length);
    const batch = entries.map(({ id }, i) => payload(id, sizes[i]));
    const always = channel.options.sync === 'always';
    const synced = (options.durability ?? (always ? 'synced' : 'written')) === 'synced';
    try {
      const { firstSeq } = await channel.appendBatch(batch, options);
      this.#acknowledged(entries, firstSeq, synced);
    } catch (error) {
      this.#rejected(entries, error);
    }
  }

  appendSync(sizes: readonly number[]): void {
    const { channel } = this;
    if (channel === undefined) return;
    const entries = this.#enter(sizes.length);
    try {
      const { firstSeq } = channel.appendBatchSync(
        entries.map(({ id }, i) => payload(id, sizes[i])),
      );
      this.#acknowledged(entries, firstSeq, channel.options.sync === 'always');
    } catch (error) {
      this.#rejected(entries, error);
    }
  }

  promised(): Promised {
    const entries = this.#entries.map((entry) => ({ ...entry }));
    return { entries, durableSeq: this.channel?.durableSeq ?? 0 };
  }
}

/** What is wrong with the records that an image shows; undefined when nothing is. */
export function brokenPromise(
  found: readonly Found[],
  promised: Promised,
  profile: Profile,
): string | undefined {
  const entries = new Map(promised.entries.map((entry) => [entry.id, entry]));
  let lastId = 0;
  for (const [i, { seq, id }] of found.entries()) {
    const entry = id === undefined ? undefined : entries.get(id);
    if (seq !== i) return `I3: seq ${seq} in place ${i}`;
    if (id === undefined || entry === undefined) return `I2: nobody appended what is at seq ${seq}`;
    if (entry.state === 'absent') return `I2: payload ${id} at seq ${seq} was refused as absent`;
    if (id <= lastId) return `I1: payload ${id} at seq ${seq} stands behind ${lastId}`;
    if (entry.seq !== undefined && entry.seq !== seq) return `I1: payload ${id} moved to ${seq}`;
    lastId = id;
  }
  const ids = new Set(found.map(({ id }) => id));
  const batches = new Set(found.map(({ id }) => entries.get(id ?? 0)?.batch));
  for (const { id, seq, state, batch } of promised.entries) {
    if (batches.has(batch) && !ids.has(id)) return `I4: payload ${id} of batch ${batch} is missing`;
    const isSynced = state === 'synced' || (seq !== undefined && seq < promised.durableSeq);
    const promisedHere = isSynced || (profile === processKill && state === 'written');
    if (promisedHere && !ids.has(id)) return `I1: payload ${id}, ${state} at seq ${seq}, is lost`;
  }
  return undefined;
}

/** Opens an image again and again, as a machine would be used after the crash. */
async function brokenAfter(
  image: Lab,
  promised: Promised,
  profile: Profile,
  choose: Choose,
): Promise<string | undefined> {
  const first = await image.open();
  const shown = await readAll(image, first);
  const broken = brokenPromise(shown, promised, profile);
  if (broken !== undefined) return broken;
  const always = first.options.sync === 'always';
  if (!always) await first.sync();

  const second = image.kill();
  const reopened = await second.open();
  if (always && second.disk.mutations.total > 0) {
    return `I6: a second open changed ${second.disk.mutations.paths.join(', ')}`;
  }
  const marker = payload(900_000 + shown.length, 700);
  const seq = await second.done(reopened.append(marker, { durability: 'synced' }));
  if (seq !== shown.length) return `I11: the next append got ${seq} instead of ${shown.length}`;

  const third = second.cut(choose);
  const last = await readAll(third, await third.open());
  const expected = [...shown, { seq, id: payloadId(marker) }];
  const same = JSON.stringify(last) === JSON.stringify(expected);
  return same ? undefined : `I5: after the next cut ${describe(last)}, not ${describe(expected)}`;
}

function describe(found: readonly Found[]): string {
  return found.map(({ seq, id }) => `${seq}:${id ?? '?'}`).join(' ');
}

interface Shot {
  readonly image: CrashFs;
  readonly promised: Promised;
  readonly profile: Profile;
  readonly seed: number;
  readonly where: string;
}

/** Takes crash images before the operations of a history, and checks them all at its end. */
export class CrashCamera {
  readonly #lab: Lab;
  readonly #model: Model;
  readonly #draws: number;
  readonly #shots: Shot[] = [];
  #seed: number;

  /** `draws` images of a power cut before each operation, and one of a kill. */
  constructor(lab: Lab, model: Model, draws: number, seed = 1) {
    this.#lab = lab;
    this.#model = model;
    this.#draws = draws;
    this.#seed = seed * 1_000_003;
    lab.disk.onOperation = ({ index, operation, path }) => {
      this.shoot(`before operation ${index}, ${operation} ${path}`);
    };
  }

  shoot(where: string): void {
    const promised = this.#model.promised();
    const { disk } = this.#lab;
    const add = (profile: Profile, seed: number, choose: Choose): void => {
      const image = disk.crash(choose, { profile });
      this.#shots.push({ image, promised, profile, seed, where });
    };
    add(strict, -1, worst);
    for (let i = 0; i < this.#draws; i += 1) {
      this.#seed += 1;
      add(strict, this.#seed, choicesFromSeed(this.#seed));
    }
    add(processKill, this.#seed, choicesFromSeed(this.#seed));
  }

  get count(): number {
    return this.#shots.length;
  }

  /** What the first few broken images show; empty when all of them keep what was promised. */
  async develop(): Promise<string[]> {
    this.#lab.disk.onOperation = undefined;
    const broken: string[] = [];
    for (const { image, promised, profile, seed, where } of this.#shots) {
      const lab = new Lab({ seed: seed & 0xffff }, (given) => image.crash(() => 0, given));
      const choose = choicesFromSeed(seed + 77);
      const problem = await brokenAfter(lab, promised, profile, choose).catch(
        (error: unknown) => `I11: ${String(error)}`,
      );
      if (problem === undefined) continue;
      broken.push(`${problem} [${profile.name}, seed ${seed}, ${where}]`);
      if (broken.length === 3) break;
    }
    return broken;
  }
}
