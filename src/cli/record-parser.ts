/** From a line of input to a record: from hex, base64, or NDJSON as `cat` writes it. */
import type { Appendable, RecordInput } from '../index.js';
import { Problem } from './failure.js';

export type RecordParser = (line: Uint8Array) => Appendable;

/** What the input is not; the caller knows at which record. */
export class MalformedRecord extends Problem {}

const textOf = (line: Uint8Array): string =>
  Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('latin1').trim();

export const hexRecord: RecordParser = (line) => {
  const text = textOf(line);
  if (text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text)) return Buffer.from(text, 'hex');
  throw new MalformedRecord('it is not made of pairs of hex digits');
};

export const base64Record: RecordParser = (line) => bytesOfBase64(textOf(line));

function bytesOfBase64(text: string): Uint8Array {
  if (/^(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}(?:==)?|[a-z0-9+/]{3}=?)?$/i.test(text)) {
    return Buffer.from(text, 'base64');
  }
  throw new MalformedRecord('it is not base64');
}

const KEYS: ReadonlySet<string> = new Set([
  'seq',
  'timestamp',
  'timestampNs',
  'type',
  'payload',
  'text',
  'json',
]);

/** Seqs are taken over only when that is asked for. */
export function jsonRecord(keepSeqs: boolean): RecordParser {
  return (line) => {
    const fields = objectOf(line);
    const unknown = Object.keys(fields).find((key) => !KEYS.has(key));
    if (unknown !== undefined) throw new MalformedRecord(`it has a field ${unknown}`);
    const { seq, timestamp, timestampNs, type } = fields;
    const record: RecordInput = { payload: payloadOf(fields) };
    return {
      ...record,
      ...(type === undefined ? {} : { type: numberOf('type', type) }),
      ...timeOf(timestamp, timestampNs),
      ...(keepSeqs && seq !== undefined ? { seq: numberOf('seq', seq) } : {}),
    };
  };
}

function objectOf(line: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    throw new MalformedRecord('it is not JSON');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new MalformedRecord('it is not a JSON object');
}

function payloadOf(fields: Record<string, unknown>): Uint8Array | string {
  const given = ['payload', 'text', 'json'].filter((key) => key in fields);
  if (given.length !== 1) {
    throw new MalformedRecord('it needs one of payload (base64), text and json');
  }
  const { payload, text, json } = fields;
  if (given[0] === 'json') return JSON.stringify(json);
  const value = given[0] === 'text' ? text : payload;
  if (typeof value !== 'string') throw new MalformedRecord(`its ${given[0]} is not a string`);
  if (given[0] !== 'text') return bytesOfBase64(value);
  if (/\p{Surrogate}/u.test(value)) throw new MalformedRecord('its text has half a character');
  return value;
}

function numberOf(name: string, value: unknown): number {
  if (typeof value === 'number') return value;
  throw new MalformedRecord(`its ${name} is not a number`);
}

/** Nanoseconds say more than milliseconds, and both are in what `cat` writes. */
function timeOf(
  timestamp: unknown,
  timestampNs: unknown,
): { readonly timestamp?: number; readonly timestampNs?: bigint } {
  if (timestampNs === undefined || timestampNs === null) {
    return timestamp === undefined ? {} : { timestamp: numberOf('timestamp', timestamp) };
  }
  if (typeof timestampNs === 'string' && /^\d{1,20}$/.test(timestampNs)) {
    return { timestampNs: BigInt(timestampNs) };
  }
  throw new MalformedRecord('its timestampNs is not a string of digits');
}
