import { test } from 'vitest';
import { makeImages } from '../support/corruption-store.js';
import { bitsOf, truncationsOf, zeroedBlocksOf, missingFile, swapsOf, kindOfFile } from '../support/corruption-fs.js';
import { checkDamage } from '../support/corruption-check.js';
test('x', async () => {
  const table = new Map<string, number>();
  const seen = new Map<string, number>();
  let n = 0; const t0 = performance.now();
  for (const image of await makeImages()) {
    const paths = [...image.files].flatMap(([p, b]) => b === undefined ? [] : [p]);
    const damages = paths.flatMap((p) => [...bitsOf(image.files, p, 61), ...truncationsOf(image.files, p, 17), ...zeroedBlocksOf(image.files, p), missingFile(image.files, p)]);
    for (const d of [...damages, ...swapsOf(image.files)]) {
      n++;
      const f = await checkDamage(image, d);
      const k = `${image.name} ${d.kind} ${kindOfFile(d.path)} ${f.outcome}`;
      table.set(k, (table.get(k) ?? 0) + 1);
      for (const w of f.wrong) { const c = w.replace(/\d+/g, '#'); const m = seen.get(c) ?? 0; seen.set(c, m + 1); if (m < 1) console.log(w); }
    }
  }
  console.log([...table].map(([k, v]) => `${k} ${v}`).join('\n'));
  console.log(n, performance.now() - t0, seen.size);
}, 600_000);
