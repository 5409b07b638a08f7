import { openChannel } from 'redexlog';

const channel = await openChannel('./data/orders', {
  onRecovery({ channel: name, tornTail, damage }) {
    if (tornTail !== undefined) console.warn(`${name}: a torn tail was cut`, tornTail);
    if (damage !== undefined) console.error(`${name}: takes no appends`, damage);
  },
});

console.log(`open, next seq ${channel.nextSeq}`);
await channel.close();
