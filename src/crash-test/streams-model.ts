/**
 * What streams may hold after a crash. Each stream has a line of states, one for each operation
 * that changes it; what a crash leaves is one of them, from the last that was promised on.
 */

/** A stream as it is told from outside, and what it must remember. */
export interface StreamSight {
  readonly status: 'none' | 'live' | 'gone';
  readonly messages: readonly string[];
  /** How many of them are those of its source. */
  readonly inherited: number;
  readonly source: string | undefined;
  readonly closed: boolean;
  readonly streamSeq: number;
  /** The highest seq of each producer, in epoch 0. */
  readonly producers: Readonly<Record<string, number>>;
  /** Unix milliseconds. */
  readonly expiresAt: number | undefined;
  /** Messages of its own that its retention keeps. */
  readonly keeps: number | undefined;
}

export const NO_STREAM: StreamSight = {
  status: 'none',
  messages: [],
  inherited: 0,
  source: undefined,
  closed: false,
  streamSeq: 0,
  producers: {},
  expiresAt: undefined,
  keeps: undefined,
};

interface Line {
  readonly states: StreamSight[];
  /** Index of the last state that was acknowledged, and of the last that was so as synced. */
  acked: number;
  synced: number;
}

/** What an operation makes of the streams that it is about. */
export type Effects = Readonly<Record<string, StreamSight>>;

/** States of which one has to be found, by the name of the stream. */
export type Possible = ReadonlyMap<string, readonly StreamSight[]>;

export class StreamsModel {
  readonly #lines = new Map<string, Line>();

  constructor(names: readonly string[]) {
    for (const name of names) this.#lines.set(name, { states: [NO_STREAM], acked: 0, synced: 0 });
  }

  /** The stream when everything is done that was begun. */
  last(name: string): StreamSight {
    return this.#line(name).states.at(-1) ?? NO_STREAM;
  }

  get all(): readonly (readonly [name: string, sight: StreamSight])[] {
    return [...this.#lines.keys()].map((name) => [name, this.last(name)]);
  }

  forksOf(source: string): string[] {
    return this.all
      .filter(([, sight]) => sight.status !== 'none' && sight.source === source)
      .map(([name]) => name);
  }

  /** The operation has begun; call what is returned when it is acknowledged. */
  begin(effects: Effects): (isSynced: boolean) => void {
    const begun = Object.entries(effects).map(([name, sight]) => {
      const line = this.#line(name);
      line.states.push(sight);
      return { line, index: line.states.length - 1 };
    });
    return (isSynced) => {
      for (const { line, index } of begun) {
        line.acked = Math.max(line.acked, index);
        if (isSynced) line.synced = Math.max(line.synced, index);
      }
    };
  }

  /** What may be found now: after a power cut, or after a kill of the process. */
  possible(kind: 'power' | 'kill'): Possible {
    return new Map(
      [...this.#lines].map(([name, { states, acked, synced }]) => [
        name,
        states.slice(kind === 'power' ? synced : acked),
      ]),
    );
  }

  #line(name: string): Line {
    const line = this.#lines.get(name);
    if (line === undefined) throw new Error(`no stream ${name}`);
    return line;
  }
}

/** Bytes that the limits count. */
export function ownBytes({ messages, inherited }: StreamSight): number {
  return messages.slice(inherited).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
