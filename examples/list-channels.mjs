import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
for (const name of ['sensors/front', 'sensors/rear', 'orders']) {
  const channel = await redex.channel(name);
  await channel.appendBatch(['first', 'second']);
}

for await (const info of redex.channels({ prefix: 'sensors/' })) {
  if (info.error === undefined) console.log(`${info.name}: ${info.count} records`);
  else console.log(`${info.name}: ${info.error.code}`);
}

await redex.close();
