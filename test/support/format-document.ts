/**
 * FORMAT.md as its tests read it: the examples, each with an input as JSON and its bytes as a hex
 * dump, or as text where they are that.
 */
import { readFileSync } from 'node:fs';
import { nanosFromBigint, type Nanos } from '../../src/core/nanos.js';

export const SOURCES: URL = new URL('../../src/format/', import.meta.url);
export const lines: readonly string[] = readFileSync(new URL('FORMAT.md', SOURCES), 'utf8').split(
  '\n',
);

/** The fenced blocks that begin with ```<language> <name>, by that. */
function fences(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let open: string[] | undefined;
  for (const line of lines) {
    const opening = /^```(\w+ [\w-]+)$/.exec(line)?.[1];
    if (line === '```') open = undefined;
    open?.push(line);
    if (opening === undefined) continue;
    if (found.has(opening)) throw new Error(`two examples are called ${opening}`);
    open = [];
    found.set(opening, open);
  }
  return found;
}

export const examples: ReadonlyMap<string, readonly string[]> = fences();

interface ExampleRecord {
  readonly seq: number;
  readonly type: number;
  readonly timestamp: string;
  readonly payload: string;
  readonly lastOfBatch: boolean;
}

/** An input of the document: 64-bit values as strings, ids as hex digits. */
export interface Input {
  readonly records?: readonly ExampleRecord[];
  readonly payloadRule?: { readonly records: number; readonly bytes: number };
  readonly [field: string]: unknown;
}

export function inputOf(name: string): Input {
  return JSON.parse((examples.get(`json ${name}`) ?? ['null']).join('\n')) as Input;
}

/** The bytes of a dump: an offset, up to 16 bytes, and a remark behind two spaces. */
export function bytesOf(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const line of examples.get(`hex ${name}`) ?? []) {
    const [, offset = '', hex = ''] =
      /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} ?){1,16})/.exec(line) ?? [];
    if (Number.parseInt(offset, 16) !== bytes.length) throw new Error(`the offset of: ${line}`);
    bytes.push(...Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  }
  return new Uint8Array(bytes);
}

export const number = (input: Input, field: string): number => {
  const value = input[field];
  if (!Number.isSafeInteger(value)) throw new Error(`${field} is no number`);
  return value as number;
};
export const u64 = (input: Input, field: string): Nanos =>
  nanosFromBigint(BigInt(input[field] as string));
export const id = (input: Input): Uint8Array =>
  new Uint8Array(Buffer.from(input['channelId'] as string, 'hex'));
export const numbers = <K extends string>(input: Input, ...fields: K[]): Record<K, number> =>
  Object.fromEntries(fields.map((field) => [field, number(input, field)])) as Record<K, number>;
