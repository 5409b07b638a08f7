/** What the parts of the contract of a StreamStore share. */
import type { StreamStore } from '../streams/stream-store.js';
import type { StreamStoreOptions } from '../streams/stream-settings.js';
import { rejectionCodeOf, type TestRunner } from './contract-support.js';

export interface StreamSubject {
  readonly streams: StreamStore;
  /** Lets time pass for the store, and everything happen that comes due. */
  readonly elapse: (ms: number) => Promise<void>;
  /** Closes it and opens it again; absent where nothing outlives a close. */
  readonly reopen?: () => Promise<StreamStore>;
  readonly cleanup?: () => void | Promise<void>;
}

export interface StreamContractOptions {
  readonly name: string;
  /** Called for each test: an empty store with these options. */
  readonly make: (options: StreamStoreOptions) => StreamSubject | Promise<StreamSubject>;
}

/** Declares one test on a store of its own. */
export type StreamTest = (
  name: string,
  body: (subject: StreamSubject) => Promise<void>,
  options?: StreamStoreOptions,
) => void;

/** One part of the contract. */
export interface ContractPart extends TestRunner {
  readonly check: StreamTest;
  readonly checks: Checks;
}

const decoder = new TextDecoder();

export class Checks {
  readonly #expect: TestRunner['expect'];

  constructor(expect: TestRunner['expect']) {
    this.#expect = expect;
  }

  /** The action is refused with this code, and the stream is as it was before. */
  async refused(
    streams: StreamStore,
    name: string,
    action: () => Promise<unknown>,
    code: string,
  ): Promise<void> {
    const before = await seen(streams, name);
    this.#expect(await rejectionCodeOf(action())).toBe(code);
    this.#expect(await seen(streams, name)).toEqual(before);
  }

  /** The action is refused with this code, and every stream of the store is as it was before. */
  async harmless(
    streams: StreamStore,
    action: () => Promise<unknown>,
    code: string,
  ): Promise<void> {
    const before = await allSeen(streams);
    this.#expect(await rejectionCodeOf(action())).toBe(code);
    this.#expect(await allSeen(streams)).toEqual(before);
  }

  async code(action: Promise<unknown>, code: string): Promise<void> {
    this.#expect(await rejectionCodeOf(action)).toBe(code);
  }

  /** The action is refused as a mistake of the caller, with this class of error. */
  async mistake(action: () => Promise<unknown>, kind: 'TypeError' | 'RangeError'): Promise<void> {
    let found = 'no error';
    try {
      await action();
    } catch (error) {
      found = error instanceof Error ? error.name : String(error);
    }
    this.#expect(found).toBe(kind);
  }
}

/** Everything that can be told from outside about a stream, or why it cannot. */
async function seen(streams: StreamStore, name: string): Promise<unknown> {
  try {
    const head = await streams.head(name);
    return { head, texts: await textsOf(streams, name), stats: await streams.stats() };
  } catch (error) {
    return String(error);
  }
}

/** The same of all streams. */
export async function allSeen(streams: StreamStore): Promise<unknown> {
  const infos = await streams.listStreams();
  const found: unknown[] = [await streams.stats()];
  for (const { name } of infos) found.push([name, await seen(streams, name)]);
  return found;
}

/** All messages from an offset on, as text, page by page. */
export async function textsOf(
  streams: StreamStore,
  name: string,
  options: { offset?: string; maxBytes?: number } = {},
): Promise<string[]> {
  const texts: string[] = [];
  let { offset = '-1' } = options;
  const { maxBytes = 1024 * 1024 } = options;
  for (;;) {
    const page = await streams.read(name, { offset, maxBytes });
    for (const message of page.messages) texts.push(decoder.decode(message));
    if (page.atTail) return texts;
    offset = page.nextOffset;
  }
}

/** The offset of a place. */
export function at(count: number, bytes: number): string {
  return `${String(count).padStart(16, '0')}_${String(bytes).padStart(16, '0')}`;
}

export const TEXT: { readonly contentType: string } = { contentType: 'text/plain' };
