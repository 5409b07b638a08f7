/** What a test needs of the machine. A test that cannot run here says why, and is counted. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import type { TestContext } from 'vitest';

/** Skips the running test, with its reason in the report, unless `condition` holds. */
export function requires(
  context: Pick<TestContext, 'skip'>,
  condition: boolean,
  reason: string,
): asserts condition {
  if (!condition) context.skip(reason);
}

/** Whether `name` is a program on the PATH. */
export function commandExists(name: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
