/**
 * Names of deliveries, by which they are settled where the Delivery itself is not at hand. A name
 * is that of one delivery for ever: no other one, of this process or of a later one, has it.
 */
import type { Lease } from './lease.js';
import type { LeaseTable } from './lease-table.js';
import { leaseLost } from './queue-errors.js';

export function tokenOf(epoch: number, { group, number, message }: Lease): string {
  return `${epoch}.${message.seq}.${number}.${group}`;
}

/** The queue of a token. */
export interface TokenHost {
  readonly name: string;
  readonly leases: LeaseTable;
  readonly state: { readonly epoch: number };
}

/** The lease of a token. Throws LEASE_LOST when it has ended, or never was, TypeError. */
export function leaseOf({ name, leases, state }: TokenHost, token: string): Lease {
  if (typeof token !== 'string') throw new TypeError('a token is a string');
  const [, epoch, seq, , group] = /^(\d+)\.(\d+)\.(\d+)\.(.*)$/s.exec(token) ?? [];
  const lease = group === undefined ? undefined : leases.get(group, Number(seq));
  if (lease !== undefined && tokenOf(state.epoch, lease) === token) return lease;
  const isOfEarlier = epoch !== undefined && Number(epoch) < state.epoch;
  throw leaseLost(name, token, isOfEarlier ? 'queue closed' : 'unknown');
}
