/**
 * The package as another process sees it, made from the sources as they are now: a directory with
 * src, the programs of the tests, scripts/lib and examples as JavaScript, in which `redexlog` is
 * the package itself. So a test never runs a build that is older than the sources.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

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

function transpile(name: string, to: string): void {
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

export function buildProcessPackage(): ProcessPackage {
  const directory = mkdtempSync(join(tmpdir(), 'redex-package-'));
  const programs = sourcesOf('test/support', /\/process-[^/]+\.ts$/);
  for (const name of [...sourcesOf('src', /\.ts$/), ...programs]) transpile(name, directory);
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
