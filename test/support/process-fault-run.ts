/** Runs the program whose system calls fail, and judges what it was told and what is left. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Redex, type LogRecord } from '../../src/index.js';
import { faultPayload, type FaultMessage } from './process-fault-writer.js';
import { namesOf } from './process-kill-inspect.js';

const TRACER = 'strace';
/** A sync of a dat file failed that belongs to the channel, not to a compaction under way. */
const LOST_SYNC = /sync\(\d+<[^>]*\/v0000000001\/\w+\.dat>\).*\(INJECTED\)/;

/** A call that fails, and how; `error=EIO`, say, or `retval=0` for a write that writes nothing. */
export interface Fault {
  readonly call: string;
  readonly effect: string;
  /** The how-manieth of its thread. */
  readonly nth: number;
  /** All later ones fail, too. */
  readonly isLasting: boolean;
  /** Only for files of this kind. */
  readonly of?: FileKind | undefined;
}

/** Files by the end of their names. */
export type FileKind = '.dat' | '.journal';

export interface FaultOutcome {
  readonly isInjected: boolean;
  readonly refused: readonly string[];
  /** Something was acknowledged after something was refused, in the same life of the store. */
  readonly wentOn: boolean;
  readonly problems: readonly string[];
}

interface Traced {
  readonly messages: readonly FaultMessage[];
  readonly end: number | NodeJS.Signals | null;
  readonly trace: string;
}

export class FaultLab {
  readonly #program: string;
  readonly #scratch: string;
  readonly #directory: string;

  /** Each lab has a directory of its own, always the same one: paths are known then. */
  constructor(program: string, scratch: string, name: string) {
    this.#program = program;
    this.#scratch = join(scratch, name);
    this.#directory = join(scratch, name, 'store');
  }

  /** How often each thread makes the call when nothing fails; paths of the store for openat. */
  async countOf(call: string, of?: FileKind): Promise<number> {
    const { trace, end } = await this.#run(call, await this.#paths(call, of));
    if (end !== 0) throw new Error(`the program ends with ${end}`);
    const counts = new Map<string, number>();
    for (const line of trace.split('\n')) {
      const [thread = ''] = line.split(' ');
      if (line.includes(`${call}(`)) counts.set(thread, (counts.get(thread) ?? 0) + 1);
    }
    return Math.max(0, ...counts.values());
  }

  async run({ call, effect, nth, isLasting, of }: Fault): Promise<FaultOutcome> {
    const inject = `inject=${call}:${effect}:when=${nth}${isLasting ? '+' : ''}`;
    const paths = await this.#paths(call, of);
    const { messages, end, trace } = await this.#run(call, [...paths, '-e', inject]);
    const judge = new Judge(messages);
    if (end !== 0) judge.problems.push(`the program ends with ${end}`);
    judge.problems.push(...(await this.#look(judge)));
    if (LOST_SYNC.test(trace)) judge.requirePoison();
    const { refused, wentOn, problems } = judge;
    return { isInjected: trace.includes('(INJECTED)'), refused, wentOn, problems };
  }

  #opened: readonly string[] | undefined;

  /** openat is watched on the store alone: modules are opened, too. */
  async #paths(call: string, of: FileKind | undefined): Promise<readonly string[]> {
    if (call !== 'openat' && of === undefined) return [];
    if (this.#opened === undefined) {
      const { trace } = await this.#run('openat', []);
      const paths = [...trace.matchAll(/openat\([^"]*"([^"]*)"/g)].map(([, path]) => path ?? '');
      const own = new Set(paths.filter((path) => path.startsWith(this.#directory)));
      // strace finds a path only where it is there already, or by its text: every name is given.
      this.#opened = [...own];
    }
    const watched = this.#opened.filter((path) => path.endsWith(of ?? ''));
    return watched.flatMap((path) => ['-P', path]);
  }

  async #run(call: string, more: readonly string[]): Promise<Traced> {
    rmSync(this.#directory, { recursive: true, force: true });
    const output = `${this.#scratch}.trace`;
    rmSync(output, { force: true });
    const options = ['-f', '-y', '-qq', '-s', '0', '-o', output, '-e', `trace=${call}`, ...more];
    const args = [...options, process.execPath, this.#program, this.#directory];
    const child = spawn(TRACER, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    });
    const ended = new Promise<Traced['end']>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal ?? code));
    });
    const said = await text(child.stdio[3] as Readable);
    const end = await ended;
    const lines = said.split('\n').filter((line) => line !== '');
    const messages = lines.map((line) => JSON.parse(line) as FaultMessage);
    return { messages, end, trace: existsSync(output) ? readFileSync(output, 'utf8') : '' };
  }

  /** Opens what is left, and compares. */
  async #look(judge: Judge): Promise<string[]> {
    const problems: string[] = [];
    const redex = await Redex.open(this.#directory);
    const names = await namesOf(redex);
    for (const name of judge.channels) {
      const acked = judge.acked(name).length > 0;
      if (!names.includes(name)) {
        if (acked) problems.push(`channel ${name} is lost`);
        continue;
      }
      const channel = await redex.channel(name);
      const report = await channel.verify();
      if (!report.ok) problems.push(`${name}: ${JSON.stringify(report.problems)}`);
      const records: LogRecord[] = [];
      for await (const record of channel.read({ copy: true })) records.push(record);
      problems.push(...judge.compare(name, records));
      await channel.append('usable');
    }
    await redex.close();
    return problems;
  }
}

/** What the program was told. */
class Judge {
  readonly problems: string[] = [];
  readonly refused: string[] = [];
  wentOn = false;
  readonly #tried = new Map<string, Set<number>>();
  readonly #acked = new Map<string, Set<number>>();
  readonly #absent = new Set<number>();
  readonly #trimmed = new Map<string, number>();
  readonly #compacted = new Map<string, number[]>();
  #poisoned = new Set<string>();
  #isRefused = false;

  constructor(messages: readonly FaultMessage[]) {
    for (const message of messages) this.#take(message);
  }

  get channels(): Iterable<string> {
    return this.#tried.keys();
  }

  acked(name: string): readonly number[] {
    return [...(this.#acked.get(name) ?? [])];
  }

  #take(message: FaultMessage): void {
    const [what] = message;
    if (what === 'life') {
      this.#poisoned = new Set();
      this.#isRefused = false;
    } else if (what === 'try') {
      add(this.#tried, message[1], message[2]);
    } else if (what === 'ack') {
      const [, name, ids] = message;
      add(this.#acked, name, ids);
      if (this.#isRefused) this.wentOn = true;
      if (this.#poisoned.has(name))
        this.problems.push(`${ids.join()} acknowledged after the poison`);
    } else if (what === 'trim') {
      this.#trimmed.set(message[1], message[2]);
    } else if (what === 'compact') {
      this.#compacted.set(message[1], [...(this.#compacted.get(message[1]) ?? []), message[2]]);
    } else if (what === 'untyped') {
      this.problems.push(`${message[1]} failed with ${message[2]}`);
    } else if (what === 'refused') {
      const [, step, code, outcome, name, ids] = message;
      this.refused.push(`${step} ${code}`);
      this.#isRefused = true;
      if (code === 'POISONED' && name !== '') this.#poisoned.add(name);
      if (outcome === 'absent') for (const id of ids) this.#absent.add(id);
    }
  }

  requirePoison(): void {
    const isPoisoned = this.refused.some((each) => each.endsWith(' POISONED'));
    if (!isPoisoned) this.problems.push('a sync failed, and nothing was poisoned');
  }

  compare(name: string, records: readonly LogRecord[]): string[] {
    const problems: string[] = [];
    const found = new Set<number>();
    for (const { type, payload, seq } of records) {
      if (found.has(type)) problems.push(`${type} is there twice`);
      found.add(type);
      if (!faultPayload(type).equals(payload)) problems.push(`seq ${seq} has wrong bytes`);
      if (this.#tried.get(name)?.has(type) !== true) problems.push(`nobody appended ${type}`);
      if (this.#absent.has(type)) problems.push(`${type} was refused as absent`);
    }
    for (const id of this.acked(name)) {
      const mayGo =
        id < (this.#trimmed.get(name) ?? 0) ||
        (id % 2 !== 0 && (this.#compacted.get(name) ?? []).some((below) => id < below));
      if (!found.has(id) && !mayGo) problems.push(`${name} lost ${id}`);
    }
    return problems.map((problem) => `${name}: ${problem}`);
  }
}

function add(sets: Map<string, Set<number>>, name: string, ids: readonly number[]): void {
  sets.set(name, new Set([...(sets.get(name) ?? []), ...ids]));
}
