import { open } from 'node:fs/promises';
import { planRepair, Redex, repairStore } from 'redexlog';

const redex = await Redex.open('./data');
const orders = await redex.channel('orders', { sync: 'never' });
for (let i = 0; i < 5; i += 1) await orders.append(`order ${i}`);
await redex.close();

// What a failing disk may do to the third record.
const dat = './data/channels/orders/v0000000001/00000000000000000000.dat';
const file = await open(dat, 'r+');
await file.write('?', 64 + 2 * 80 + 70);
await file.close();

// Nobody may have the directory open. This changes nothing.
const plan = await planRepair('./data');
for (const { kind, channel, action } of plan.steps) console.log(`${channel}: ${kind}, ${action}`);
for (const { channel, seqRange } of plan.losses) console.log(`${channel}: lost`, seqRange);

const report = await repairStore('./data');
console.log(`${report.savedRecords} records saved, ${report.kept.length} file kept`);

const again = await Redex.open('./data');
const { ok } = await (await again.channel('orders')).verify();
console.log(`ok: ${ok}`);
await again.close();
