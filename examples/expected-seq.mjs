import { openChannel, RedexError } from 'redexlog';

const channel = await openChannel('./data/account');
const seen = channel.nextSeq;
await channel.append('deposit 10', { expectedSeq: seen });

try {
  // Decided on what was seen before the deposit: somebody else's append has come first.
  await channel.append('withdraw 30', { expectedSeq: seen });
} catch (error) {
  if (!RedexError.is(error, 'SEQ_CONFLICT')) throw error;
  console.log(`expected ${error.expectedSeq - seen}, is ${error.actualSeq - seen}`);
}

await channel.close();
