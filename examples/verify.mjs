import { open } from 'node:fs/promises';
import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
// Not by way of the journal: its bytes are in the channel's own files at once.
const orders = await redex.channel('orders', { sync: 'never' });
for (let i = 0; i < 5; i += 1) await orders.append(`order ${i}`);

const healthy = await orders.verify();
console.log(`${healthy.recordCount} records, ok: ${healthy.ok}`);

// What a failing disk may do to the third record.
const dat = './data/channels/orders/v0000000001/00000000000000000000.dat';
const file = await open(dat, 'r+');
await file.write('?', 64 + 2 * 80 + 70);
await file.close();

const { ok, problems } = await orders.verify({
  onProgress: ({ bytesDone, bytesTotal }) => console.log(`${bytesDone} of ${bytesTotal} bytes`),
});
console.log(`ok: ${ok}`);
for (const { kind, position, seqRange, recordsBehind } of problems) {
  console.log(kind, position, seqRange, `${recordsBehind} records behind it verify`);
}
await redex.close();
