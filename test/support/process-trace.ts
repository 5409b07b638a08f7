/**
 * Reads what strace wrote and judges it: an acknowledgement may follow only a sync that began after
 * the record's bytes were written. The order of the lines is the order in which calls began and
 * ended: a thread goes on only when strace has seen its call end, so what one thread does because
 * of another's call comes after that call in the trace.
 */

/** One system call, begun and ended at a line of the trace. */
export interface TracedCall {
  readonly name: string;
  /** The text between the brackets. */
  readonly args: string;
  readonly result: number;
  readonly begin: number;
  readonly end: number;
}

const WHOLE = /^(\w+)\((.*)\)\s+= (-?\d+|\?)/;
const UNFINISHED = /^(\w+)\((.*) <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)\)\s+= (-?\d+|\?)/;
const NOT_A_CALL = /^(\+\+\+|---)/;
/** A call that the end of the process cut off. */
const CUT_OFF = /^<\.\.\. \w+ resumed>|<unfinished \.\.\.>\)?/;

/** Throws for a line that it does not understand: nothing may be overlooked. */
export function parseTrace(text: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const begun = new Map<string, { name: string; args: string; begin: number }>();
  for (const [line, whole] of text.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(whole) ?? [];
    if (whole === '' || NOT_A_CALL.test(rest)) continue;
    const resumed = RESUMED.exec(rest);
    const unfinished = UNFINISHED.exec(rest);
    const complete = WHOLE.exec(rest);
    if (resumed !== null) {
      const start = begun.get(thread);
      begun.delete(thread);
      if (start === undefined || start.name !== resumed[1]) {
        throw new Error(`no begin of: ${whole}`);
      }
      const args = start.args + (resumed[2] ?? '');
      calls.push({ ...start, args, result: Number(resumed[3]), end: line });
    } else if (unfinished !== null) {
      begun.set(thread, { name: unfinished[1] ?? '', args: unfinished[2] ?? '', begin: line });
    } else if (complete !== null) {
      const [, name = '', args = '', result] = complete;
      calls.push({ name, args, result: Number(result), begin: line, end: line });
    } else if (!CUT_OFF.test(rest)) {
      throw new Error(`not understood: ${whole}`);
    }
  }
  return calls.toSorted((a, b) => a.begin - b.begin);
}

/** The path that `-y` shows for the descriptor in front of the arguments. */
function descriptorPath(call: TracedCall): string | undefined {
  return /^\d+<([^>]*)>/.exec(call.args)?.[1];
}

interface TracedWrite {
  readonly call: TracedCall;
  readonly from: number;
  readonly to: number;
}

/** The files of a segment's frames as they are on disk in the end. */
export interface TracedFrame {
  readonly baseSeq: number;
  readonly nextSeq: number;
  /** Where the frame ends; in a journal the group that it is in. */
  readonly end: number;
  /** Of a group: where it begins. One write has made it, over zeros that were synced before. */
  readonly start?: number;
}

export interface TracedSegment {
  readonly path: string;
  readonly byteLength: number;
  readonly frames: readonly TracedFrame[];
}

/** A name that the process has made, and without which the segments cannot be found. */
export interface TracedName {
  readonly path: string;
  /** The group of a journal that says it, for as long as its own directory is not synced. */
  readonly said?: TracedGroup | undefined;
}

export interface TracedGroup {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

export interface TraceVerdict {
  readonly acknowledged: readonly number[];
  readonly violations: readonly string[];
}

/**
 * Judges every acknowledgement. `names`: files and directories. `segments` in the order of their
 * base seqs.
 */
export function judgeTrace(
  calls: readonly TracedCall[],
  names: readonly TracedName[],
  segments: readonly TracedSegment[],
): TraceVerdict {
  const trace = new Trace(calls);
  const acknowledged: number[] = [];
  const violations: string[] = [];
  for (const call of calls) {
    const isSaid = call.name === 'write' && call.result > 0;
    const seq = isSaid ? /"ack (\d+)\\n"/.exec(call.args)?.[1] : undefined;
    if (seq === undefined) continue;
    acknowledged.push(Number(seq));
    for (const problem of problemsOf(trace, names, segments, Number(seq), call.begin)) {
      violations.push(`ack ${seq}: ${problem}`);
    }
  }
  return { acknowledged, violations };
}

function problemsOf(
  trace: Trace,
  names: readonly TracedName[],
  segments: readonly TracedSegment[],
  seq: number,
  moment: number,
): string[] {
  const holds = (frame: TracedFrame): boolean => frame.baseSeq <= seq && seq < frame.nextSeq;
  const own = segments.findIndex(({ frames }) => frames.some(holds));
  if (own < 0) return ['its record is in no segment'];
  const problems: string[] = [];
  const reached = segments.slice(0, own + 1);
  const files: TracedName[] = reached.map((segment) => ({ path: segment.path }));
  for (const { path, said } of [...names, ...files]) {
    if (!trace.nameIsSynced(path, said, moment)) problems.push(`name of ${path} not synced`);
  }
  for (const [index, { path, byteLength, frames }] of reached.entries()) {
    const last = index < own ? frames.length - 1 : frames.findIndex(holds);
    for (const { start, end } of frames.slice(0, last + 1)) {
      if (start === undefined || trace.isGroupSynced(path, start, end, moment)) continue;
      problems.push(`${path} not written and synced from ${start} to ${end}`);
    }
    const end = index < own ? byteLength : (frames[last]?.end ?? byteLength);
    if (!trace.isWritten(path, end, moment)) problems.push(`${path} not written up to ${end}`);
    if (!trace.isSynced(path, end, moment)) problems.push(`${path} not synced up to ${end}`);
  }
  return problems;
}

class Trace {
  readonly #writes = new Map<string, TracedWrite[]>();
  readonly #syncs = new Map<string, TracedCall[]>();
  /** The call that made a name, by path. */
  readonly #made = new Map<string, TracedCall>();

  constructor(calls: readonly TracedCall[]) {
    for (const call of calls) this.#add(call);
  }

  #add(call: TracedCall): void {
    const { name, args, result } = call;
    const path = descriptorPath(call) ?? '';
    if (name === 'pwrite64') {
      const [, , from] = /, (\d+), (\d+)$/.exec(args) ?? [];
      if (from === undefined) throw new Error(`no position: ${args}`);
      push(this.#writes, path, { call, from: Number(from), to: Number(from) + result });
    } else if ((name === 'fdatasync' || name === 'fsync') && result === 0) {
      push(this.#syncs, path, call);
    } else if (name === 'openat' && result >= 0 && args.includes('O_CREAT')) {
      this.#made.set(/"([^"]*)"/.exec(args)?.[1] ?? '', call);
    } else if (name.startsWith('mkdir') && result === 0) {
      this.#made.set(/"([^"]*)"/.exec(args)?.[1] ?? '', call);
    } else if (name.startsWith('rename') && result === 0) {
      this.#made.set(/"[^"]*".*"([^"]*)"/.exec(args)?.[1] ?? '', call);
    }
  }

  /** The writes below `end` that began before `moment`. */
  #writesBelow(path: string, end: number, moment: number): TracedWrite[] {
    const writes = this.#writes.get(path) ?? [];
    return writes.filter(({ call, from }) => from < end && call.begin < moment);
  }

  isWritten(path: string, end: number, moment: number): boolean {
    const writes = this.#writesBelow(path, end, moment).toSorted((a, b) => a.from - b.from);
    let reached = 0;
    for (const { call, from, to } of writes) {
      if (from > reached || call.end > moment) return false;
      reached = Math.max(reached, to);
    }
    return reached >= end;
  }

  /** Some sync began after all these writes had ended, and ended before `moment`. */
  isSynced(path: string, end: number, moment: number): boolean {
    const lastEnd = Math.max(...this.#writesBelow(path, end, moment).map(({ call }) => call.end));
    return this.#isSyncedAfter(path, lastEnd, moment);
  }

  /** One write of exactly these bytes ended before a sync that ended before `moment` began. */
  isGroupSynced(path: string, start: number, end: number, moment: number): boolean {
    const writes = this.#writes.get(path) ?? [];
    const own = writes.filter(({ from, to }) => from === start && to === end);
    return own.some(({ call }) => this.#isSyncedAfter(path, call.end, moment));
  }

  #isSyncedAfter(path: string, after: number, moment: number): boolean {
    const syncs = this.#syncs.get(path) ?? [];
    return syncs.some(({ begin, end }) => begin > after && end < moment);
  }

  /** What a group says counts only when the group was synced before the name was made. */
  nameIsSynced(path: string, said: TracedGroup | undefined, moment: number): boolean {
    const made = this.#made.get(path);
    if (made === undefined || made.end > moment) return false;
    if (this.#isSyncedAfter(parentOf(path), made.end, moment)) return true;
    return said !== undefined && this.isGroupSynced(said.path, said.start, said.end, made.begin);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
