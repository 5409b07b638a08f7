import { Redex, jsonCodec } from 'redexlog';

const redex = await Redex.open('./data');
const account = await redex.channel('account');
const entries = account.typed(jsonCodec);
await entries.appendBatch([{ deposit: 50 }, { withdraw: 20 }, { deposit: 5 }]);

const balance = await entries.fold({
  name: 'balance',
  version: 1, // raise it when `apply` computes something else
  initial: 0,
  apply: (sum, { value: { deposit = 0, withdraw = 0 } }) => sum + deposit - withdraw,
});

await balance.caughtUp();
console.log(balance.value, 'after', balance.seq, 'records');
await redex.close(); // writes a checkpoint: the next open applies only what comes after it
