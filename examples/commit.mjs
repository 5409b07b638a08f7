import { Redex, RedexError } from 'redexlog';

const redex = await Redex.open('./data');
for (const name of ['accounts/1', 'accounts/2', 'transfers/1']) await redex.channel(name);

const transfer = [
  { channel: 'accounts/1', records: ['-10'], expectedSeq: 0 },
  { channel: 'accounts/2', records: ['+10'] },
  { channel: 'transfers/2', records: ['1 to 2: 10'], create: { sync: { everyN: 100 } } },
  { delete: 'transfers/1' },
];
const { channels } = await redex.commit(transfer);
console.log(channels['accounts/1']);

try {
  await redex.commit(transfer.slice(0, 2));
} catch (error) {
  if (!RedexError.is(error, 'SEQ_CONFLICT')) throw error;
  console.log(`${error.channel} goes on at ${error.actualSeq}, nothing was changed`);
}
await redex.close();
