/**
 * What an entry of the journal says that makes a channel: its config and its first manifest.
 *
 *   0 u32 bytes of the config  4 zero (u32)  8 config, zeros up to 8  then the manifest
 */
import { alignTo8, viewOf } from './bytes.js';
import { MANIFEST_BYTES } from './manifest.js';

const CONFIG_AT = 8;

export function encodeCreation(config: Uint8Array, manifest: Uint8Array): Uint8Array {
  const manifestAt = CONFIG_AT + alignTo8(config.byteLength);
  const bytes = new Uint8Array(manifestAt + manifest.byteLength);
  viewOf(bytes).setUint32(0, config.byteLength, true);
  bytes.set(config, CONFIG_AT);
  bytes.set(manifest, manifestAt);
  return bytes;
}

/** Views of the two; undefined for what is none. */
export function decodeCreation(
  bytes: Uint8Array,
): { readonly config: Uint8Array; readonly manifest: Uint8Array } | undefined {
  if (bytes.byteLength < CONFIG_AT) return undefined;
  const length = viewOf(bytes).getUint32(0, true);
  const manifestAt = CONFIG_AT + alignTo8(length);
  if (manifestAt + MANIFEST_BYTES !== bytes.byteLength) return undefined;
  return {
    config: bytes.subarray(CONFIG_AT, CONFIG_AT + length),
    manifest: bytes.subarray(manifestAt),
  };
}
