/**
 * Goal: whatever a crash leaves, streams are as they were promised to be: acknowledged messages,
 * closes and deletions stay; producers and Stream-Seq are neither ahead of the messages nor behind;
 * no reference is lost or leaked; the counted bytes are those that are there.
 * Method: a sample of the crash test of streams. scripts/streams-crash-run.mjs runs more of it.
 */
import { expect, test } from 'vitest';
import { streamsCrashTest } from '../../src/crash-test/streams-crash-test.js';

test('a sample of crashes', async () => {
  const { images, steps, counts } = await streamsCrashTest({ images: 100, seed: 1, every: 24 });
  expect(images).toBeGreaterThanOrEqual(100);
  for (const kind of ['nested', 'again']) expect(counts[kind], kind).toBeGreaterThan(0);
  const kinds = ['create', 'append', 'fork', 'fork-within', 'delete', 'trim', 'expire'];
  for (const kind of [...kinds, 'exceed', 'refuse', 'replace', 'retain']) {
    expect(steps[kind], kind).toBeGreaterThan(0);
  }
});
