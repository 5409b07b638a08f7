import { Redex, RedexError } from 'redexlog';

const redex = await Redex.open('./data');
const sensors = await redex.channel('sensors', { sync: { intervalMs: 100 } });

try {
  await redex.channel('sensors', { sync: 'always' });
} catch (error) {
  if (!RedexError.is(error, 'OPTIONS_CONFLICT')) throw error;
  console.log(`${error.option} is stored as`, error.stored);
}

await sensors.configure({ sync: 'always' }); // durable when this resolves
console.log('now', sensors.options.sync);
await redex.close();
