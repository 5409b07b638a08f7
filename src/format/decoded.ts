/**
 * What a decoder returns. Bytes that do not decode are expected in recovery, so decoders throw
 * nothing: the caller knows whether it is a torn tail, a damage to report or a newer version.
 */
import type { FailedCheck } from '../core/errors.js';

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly check: FailedCheck }
  | { readonly ok: false; readonly check: 'version'; readonly found: number };

export type DecodeFailure = Exclude<Decoded<never>, { readonly ok: true }>;

export function decoded<T>(value: T): Decoded<T> {
  return { ok: true, value };
}

export function failed(check: FailedCheck): DecodeFailure {
  return { ok: false, check };
}

export function versionFailure(found: number): DecodeFailure {
  return { ok: false, check: 'version', found };
}
