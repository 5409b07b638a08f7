import { Redex } from 'redexlog';
import { choicesFromSeed, CrashFs, ext4Ordered, FaultFs } from 'redexlog/testing';

const disk = new CrashFs();
const redex = await Redex.open('/data', { fs: disk });
const orders = await redex.channel('orders', { sync: 'always' });
await orders.append('paid');

// What a machine with ext4 may have after a power cut:
const image = disk.crash(choicesFromSeed(7), { profile: ext4Ordered });
const fs = new FaultFs(image);
const again = await Redex.open('/data', { fs });
const recovered = await again.channel('orders');
console.log(`${recovered.count} record`);

// Its disk is full from now on:
const effect = { error: 'ENOSPC' };
fs.inject({ operation: 'anyWrite', nth: 1, times: Infinity, effect });
await recovered.append('sent').catch((error) => console.log(error.code));
