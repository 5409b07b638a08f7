/**
 * A channel's config: its full name, id and stored options as JSON, under a checksum. The JSON is
 * for people with a hex dump on a bad day; what it must contain is checked by the channel layer.
 *
 *   0 u32 magic  4 u16 version  6 u16 length (0 when over 65,535)  8 channel id (16)
 *  24 JSON, UTF-8  (then) u64 checksum
 */
import { decoded, failed, type Decoded } from './decoded.js';
import { ENVELOPE_TAIL_BYTES, envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';
import { CHANNEL_ID_BYTES } from './file-header.js';
import { utf8Bytes } from './text.js';

export const CONFIG_MAGIC: number = magicNumber('RXCF');
/** A config that is larger is refused before it is read. */
export const MAX_CONFIG_BYTES: number = 64 * 1024;
const BODY_AT = 24;

const decoder = new TextDecoder('utf-8', { fatal: true });

export interface Config {
  readonly channelId: Uint8Array;
  readonly body: Readonly<Record<string, unknown>>;
}

export function encodeConfig(config: Config): Uint8Array {
  const body = utf8Bytes(JSON.stringify(config.body));
  const bytes = new Uint8Array(BODY_AT + body.byteLength + ENVELOPE_TAIL_BYTES);
  bytes.set(config.channelId, 8);
  bytes.set(body, BODY_AT);
  writeEnvelope(bytes, CONFIG_MAGIC);
  return bytes;
}

export function decodeConfig(bytes: Uint8Array): Decoded<Config> {
  const failure = envelopeFailure(bytes, CONFIG_MAGIC);
  if (failure !== undefined) return failure;
  if (bytes.byteLength < BODY_AT + ENVELOPE_TAIL_BYTES) return failed('length');
  const text = bytes.subarray(BODY_AT, bytes.byteLength - ENVELOPE_TAIL_BYTES);
  let body: unknown;
  try {
    body = JSON.parse(decoder.decode(text));
  } catch {
    return failed('fields');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return failed('fields');
  return decoded({
    channelId: bytes.slice(8, 8 + CHANNEL_ID_BYTES),
    body: body as Record<string, unknown>,
  });
}
