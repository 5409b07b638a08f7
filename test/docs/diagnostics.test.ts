/**
 * Goal: docs/diagnostics.md names every diagnostics channel with the fields of its messages.
 * Method: each kind of message is made to happen, on a file system in memory, and compared with
 * the table.
 */
import { channel as diagnosticsChannel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SyncPolicy } from '../../src/channel/options.js';
import { diagnostics } from '../../src/core/runtime.js';
import { Redex } from '../../src/index.js';
import { QueueStore } from '../../src/queues/queue-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { repository } from '../support/process-package.js';

/** The table: name of the channel to the fields of its messages. */
function documented(): Map<string, string[]> {
  const text = readFileSync(join(repository, 'docs/diagnostics.md'), 'utf8');
  const rows = text.matchAll(/^\| `(redexlog:\w+)` *\|[^|]*\|([^|]*)\|$/gm);
  return new Map(
    [...rows].map(([, name = '', fields = '']) => [
      name,
      [...fields.matchAll(/`(\w+)`/g)].map(([, field]) => field ?? ''),
    ]),
  );
}

const SYNCED = { durability: 'synced' } as const;

/** Rolls, syncs, is killed, opens again, and fails a sync: of the channel, then of the store. */
async function provokeAll(sync: SyncPolicy): Promise<void> {
  const disk = new CrashFs();
  const redex = await Redex.open('/data', { fs: disk });
  const channel = await redex.channel('log', { segmentBytes: 4096, sync });
  for (let i = 0; i < 4; i++) await channel.append(new Uint8Array(3000), SYNCED);
  const fs = new FaultFs(disk.kill());
  const next = await Redex.open('/data', { fs });
  const again = await next.channel('log');
  await again.append('x', SYNCED);
  fs.inject({ operation: 'datasync', path: /\.dat$/, nth: 1, effect: { error: 'EIO' } });
  // The dat of a channel with a journal is synced by a checkpoint: its close asks for one.
  await again.append('y', SYNCED).catch(() => undefined);
  await again.close().catch(() => undefined);
  await next.channel('other');
  // A checkpoint syncs the names, and the close asks for one.
  fs.inject({ operation: 'syncDirectory', path: /channels$/, nth: 1, effect: { error: 'EIO' } });
  await next.close().catch(() => undefined);
  await redex.close();
  const queues = await QueueStore.memory();
  const queue = await queues.queue('jobs');
  await queue.enqueue(new Uint8Array(1));
  for (const delivery of await queue.receive()) await delivery.ack();
  await queues.close();
}

test.each<SyncPolicy>(['always', { everyN: 100 }])(
  'the table is what is published, %o',
  async (sync) => {
    const found = new Map<string, Set<string>>();
    const poisoned: unknown[] = [];
    const listeners = Object.values(diagnostics).map(({ name }) => {
      const fields = new Set<string>();
      found.set(String(name), fields);
      const listener = (message: unknown): void => {
        for (const field of Object.keys(message as object)) fields.add(field);
        if (name === 'redexlog:poison') poisoned.push(message);
      };
      diagnosticsChannel(name).subscribe(listener);
      return () => diagnosticsChannel(name).unsubscribe(listener);
    });
    await provokeAll(sync);
    for (const unsubscribe of listeners) unsubscribe();
    const table = documented();
    expect([...table.keys()]).toEqual([...found.keys()]);
    for (const [name, fields] of found) expect(table.get(name), name).toEqual([...fields]);
    // The channel, then the store itself, which poisons its channels: the first one already is.
    const cause: unknown = expect.any(Error);
    const path: unknown = expect.stringMatching(/\.dat$/);
    expect(poisoned).toStrictEqual([
      { channel: 'log', path, cause },
      { channel: undefined, path: '/data/channels', cause },
      { channel: 'other', path: '/data/channels', cause },
    ]);
  },
);
