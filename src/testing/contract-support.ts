/**
 * What the contract suites share. The types of the test runner are structural, so that the suites
 * depend on none.
 */
import type { FileHandle, FileSystem } from '../fs/file-system.js';

interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
}

export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: (name: string, body: () => Promise<void>) => unknown;
  readonly expect: (actual: unknown) => Expectation;
}

interface ContractSubject {
  readonly fs: FileSystem;
  /** An empty directory. */
  readonly root: string;
  readonly cleanup?: () => void | Promise<void>;
}

export interface ContractOptions {
  readonly name: string;
  /** Called for each test. */
  readonly make: () => ContractSubject | Promise<ContractSubject>;
}

/** Declares one test on a file system of its own. */
export type ContractTest = (
  name: string,
  body: (fs: FileSystem, root: string) => void | Promise<void>,
) => void;

export async function withRoot(
  options: ContractOptions,
  body: (fs: FileSystem, root: string) => void | Promise<void>,
): Promise<void> {
  const { fs, root, cleanup } = await options.make();
  try {
    await body(fs, root);
  } finally {
    await cleanup?.();
  }
}

const encoder = new TextEncoder();

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** All bytes of an open file, as a plain Uint8Array. */
export function contentOf(handle: FileHandle): Uint8Array {
  const size = handle.sizeSync();
  const bytes = new Uint8Array(size);
  const count = handle.readSync(bytes, 0, size, 0);
  return bytes.subarray(0, count);
}

/** Where two byte strings differ, or `none`. Comparing large arrays in `expect` is slow. */
export function difference(actual: Uint8Array, expected: Uint8Array): string {
  if (actual.length !== expected.length) return `${actual.length} and ${expected.length} bytes`;
  const index = actual.findIndex((byte, i) => byte !== expected[i]);
  return index < 0 ? 'none' : `byte ${index} is ${actual[index]}, not ${expected[index]}`;
}

export function writeFile(fs: FileSystem, path: string, text: string): void {
  const handle = fs.openSync(path, 'create');
  const bytes = bytesOf(text);
  handle.writeSync(bytes, 0, bytes.length, 0);
  handle.closeSync();
}

/** The errno name with which `action` fails; what it did instead, if it does not. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return codeFrom(error);
  }
  return 'no error';
}

export async function rejectionCodeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return codeFrom(error);
  }
  return 'no error';
}

function codeFrom(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (error instanceof Error && typeof code === 'string') return code;
  return `not an Error with a code: ${String(error)}`;
}
