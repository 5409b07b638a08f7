/**
 * Goal: docs/diagnostics.md names every diagnostics channel with the fields of its messages.
 * Method: each kind of message is made to happen, on a file system in memory, and compared with
 * the table.
 */
import { channel as diagnosticsChannel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diagnostics } from '../../src/core/runtime.js';
import { openChannel } from '../../src/index.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
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

/** Opens, rolls, syncs, opens again without a close, and fails a sync. */
async function provokeAll(): Promise<void> {
  const fs = new FaultFs(new MemoryFs());
  const channel = await openChannel('/data', { fs, segmentBytes: 4096 });
  for (let i = 0; i < 4; i++) await channel.append(new Uint8Array(3000));
  const again = await openChannel('/data', { fs });
  await again.append('x');
  fs.inject({ operation: 'datasync', nth: 1, effect: { error: 'EIO' } });
  await again.append('y').catch(() => undefined);
  await again.close().catch(() => undefined);
  await channel.close();
}

test('the table is what is published', async () => {
  const found = new Map<string, Set<string>>();
  const listeners = Object.values(diagnostics).map(({ name }) => {
    const fields = new Set<string>();
    found.set(String(name), fields);
    const listener = (message: unknown): void => {
      for (const field of Object.keys(message as object)) fields.add(field);
    };
    diagnosticsChannel(name).subscribe(listener);
    return () => diagnosticsChannel(name).unsubscribe(listener);
  });
  await provokeAll();
  for (const unsubscribe of listeners) unsubscribe();
  const table = documented();
  expect([...table.keys()]).toEqual([...found.keys()]);
  for (const [name, fields] of found) expect(table.get(name), name).toEqual([...fields]);
});
