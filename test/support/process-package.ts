/**
 * The package as another process sees it, made from the sources as they are now: a directory with
 * src, the programs of the tests, scripts/lib and examples as JavaScript, in which `redexlog` is
 * the package itself. So a test never runs a build that is older than the sources. They are made
 * into JavaScript by the first test file of a run that asks for it; each has a copy of its own.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import type TypeScript from 'typescript';

export const repository: string = fileURLToPath(new URL('../..', import.meta.url));

export interface ProcessPackage {
  readonly directory: string;
  /** The absolute path of a file of the repository in the package; `.ts` becomes `.js`. */
  path(name: string): string;
  remove(): void;
}

function sourcesOf(folder: string, wanted: RegExp): string[] {
  return readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name}`)
    .filter((name) => wanted.test(name));
}

function transpile(ts: typeof TypeScript, name: string, to: string): void {
  const { outputText } = ts.transpileModule(readFileSync(join(repository, name), 'utf8'), {
    fileName: name,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
    },
  });
  const path = join(to, name.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, outputText);
}

/** All sources as JavaScript, in a directory that nobody changes. */
async function transpiled(): Promise<string> {
  const place = inject('packagePlace');
  const built = join(place, 'built');
  if (existsSync(built)) return built;
  // It takes a second to load, in every process that does.
  const { default: ts } = await import('typescript');
  const own = mkdtempSync(join(place, 'part-'));
  const programs = sourcesOf('test/support', /\/process-[^/]+\.ts$/);
  for (const name of [...sourcesOf('src', /\.ts$/), ...programs]) transpile(ts, name, own);
  try {
    renameSync(own, built);
  } catch (error) {
    // Another one was faster.
    if (!existsSync(built)) throw error;
  }
  return built;
}

export async function buildProcessPackage(): Promise<ProcessPackage> {
  const directory = mkdtempSync(join(tmpdir(), 'redex-package-'));
  cpSync(await transpiled(), directory, { recursive: true });
  for (const folder of ['scripts', 'examples']) {
    cpSync(join(repository, folder), join(directory, folder), { recursive: true });
  }
  const text = readFileSync(join(repository, 'package.json'), 'utf8');
  const manifest = JSON.parse(text) as { readonly exports: Readonly<Record<string, string>> };
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([name, path]) => [name, path.replace('/dist/', '/src/')]),
  );
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...manifest, exports }));
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  return {
    directory,
    path: (name) => join(directory, name.replace(/\.ts$/, '.js')),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
