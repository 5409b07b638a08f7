import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const settings = await redex.channel('settings');
await settings.append('colour=red');
await settings.append('size=10');
await settings.append('colour=blue');

const keyOf = (record) => Buffer.from(record.payload).toString().split('=')[0];
const report = await settings.compact({ key: keyOf });
console.log(report.recordsBefore, '->', report.recordsAfter);
for await (const record of settings.read()) {
  console.log(record.seq, Buffer.from(record.payload).toString());
}
await redex.close();
