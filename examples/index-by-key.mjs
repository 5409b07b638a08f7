import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const users = await redex.channel('users');
await users.appendBatch(['ada:1815', 'alan:1912', 'ada:Countess of Lovelace', 'alan:']);

const text = (record) => new TextDecoder().decode(record.payload);
const byName = await users.index({
  name: 'by-name',
  key: (record) => text(record).split(':')[0],
  deleted: (record) => text(record).endsWith(':'),
});

await byName.caughtUp();
console.log(byName.size, [...byName.keys()], text(await byName.get('ada')));
await redex.close();
