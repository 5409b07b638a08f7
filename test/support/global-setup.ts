/** What all test files of one run share: a directory for what the first of them makes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    readonly packagePlace: string;
  }
}

export default function setup({ provide }: TestProject): () => void {
  const place = mkdtempSync(join(tmpdir(), 'redex-packages-'));
  provide('packagePlace', place);
  return () => {
    rmSync(place, { recursive: true, force: true });
  };
}
