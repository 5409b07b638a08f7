/** One line of an export as a value that can be used, or undefined for what no export has. */
import { isUtf8 } from 'node:buffer';
import { MAX_TIMESTAMP_NS } from '../core/nanos.js';
import type { SeqRange } from '../core/errors.js';
import { MAX_SEQ } from '../channel/options.js';
import { headFrom } from './channel-head.js';
import type { ChannelHead, TransferRecord } from './transfer-items.js';

export type Fields = Readonly<Record<string, unknown>>;

/** The object that a line is. */
export function fieldsOf(line: Uint8Array): Fields | undefined {
  if (!isUtf8(line)) return undefined;
  const { buffer, byteOffset, byteLength } = line;
  try {
    const value: unknown = JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString());
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

export function channelOf({ name, options, firstSeq, nextSeq }: Fields): ChannelHead | undefined {
  return headFrom({ name, options }, firstSeq, nextSeq);
}

export function recordOf(fields: Fields): TransferRecord | undefined {
  const { seq, type, timestampNs: time } = fields;
  if (!isCount(seq) || seq > MAX_SEQ || !isCount(type) || type > 0xffff) return undefined;
  if (typeof time !== 'string' || !/^(0|[1-9]\d{0,19})$/.test(time)) return undefined;
  const timestampNs = BigInt(time);
  const payload = payloadOf(fields);
  if (timestampNs > MAX_TIMESTAMP_NS || payload === undefined) return undefined;
  return { seq, type, timestampNs, payload };
}

function payloadOf({ payload, payloadBase64 }: Fields): Uint8Array | undefined {
  if (typeof payload === 'string') {
    const isText = payloadBase64 === undefined && !/\p{Surrogate}/u.test(payload);
    return isText ? Buffer.from(payload) : undefined;
  }
  if (payload !== undefined || typeof payloadBase64 !== 'string') return undefined;
  const bytes = Buffer.from(payloadBase64, 'base64');
  // What is no base64 is skipped in silence otherwise.
  return bytes.toString('base64') === payloadBase64 ? bytes : undefined;
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function rangesOf(value: unknown): SeqRange[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const ranges: SeqRange[] = [];
  for (const each of value as readonly unknown[]) {
    if (typeof each !== 'object' || each === null) return undefined;
    const { firstSeq, nextSeq } = each as Fields;
    if (!isCount(firstSeq) || !isCount(nextSeq)) return undefined;
    ranges.push({ firstSeq, nextSeq });
  }
  return ranges;
}
