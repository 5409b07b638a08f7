import { Redex, RedexError } from 'redexlog';

const redex = await Redex.open('./data');
const account = await redex.channel('accounts/4711');
const seen = account.nextSeq;
await account.append('deposit 10', { expectedSeq: seen });

try {
  // Decided on what was seen before the deposit: somebody else's append has come first.
  await account.append('withdraw 30', { expectedSeq: seen });
} catch (error) {
  if (!RedexError.is(error, 'SEQ_CONFLICT')) throw error;
  console.log(`expected ${error.expectedSeq - seen}, is ${error.actualSeq - seen}`);
}

await redex.close();
