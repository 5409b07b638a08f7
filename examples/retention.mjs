import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const readings = await redex.channel('readings', {
  segmentBytes: 4096,
  retention: { maxRecords: 100 },
});
for (let i = 0; i < 1000; i++) await readings.append(`reading ${i}`, { durability: 'written' });

await readings.applyRetention();
console.log('at least 100 are left:', readings.count >= 100 && readings.count < 300);

await readings.trim({ beforeSeq: 990 });
console.log(readings.firstSeq, readings.nextSeq, readings.count);
await redex.close();
