/** Goal: a test that needs something skips with a reason, and only when it is not there. */
import { expect, test } from 'vitest';
import { commandExists, requires } from './requirements.js';

class Skipped extends Error {}

const context = {
  skip: (note?: unknown): never => {
    throw new Skipped(String(note));
  },
};

test('requires skips with the reason unless the condition holds', () => {
  expect(() => requires(context, true, 'no tracer')).not.toThrow();
  expect(() => requires(context, false, 'no tracer')).toThrow(new Skipped('no tracer'));
});

test('commandExists looks for a program on the PATH', () => {
  expect(commandExists('node')).toBe(true);
  expect(commandExists('no-such-program-anywhere')).toBe(false);
});
