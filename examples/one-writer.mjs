import { Redex, RedexError } from 'redexlog';

const redex = await Redex.open('./data');

try {
  await Redex.open('./data');
} catch (error) {
  if (!RedexError.is(error, 'LOCKED')) throw error;
  console.log(error.pid === process.pid ? 'open in this process already' : 'open elsewhere');
}

const looking = await Redex.open('./data', { readOnly: true }); // takes no lock
console.log(await looking.hasChannel('orders'));

await looking.close();
await redex.close();
