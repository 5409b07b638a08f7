import { Redex } from 'redexlog';
import { choicesFromSeed, CrashFs, ManualRuntime, worst } from 'redexlog/testing';

// The layer under test.
async function openBank(fs, runtime) {
  const redex = await Redex.open('/bank', { fs, runtime });
  const log = await redex.channel('moves', { segmentBytes: 4096 });
  const move = (account, amount) => JSON.stringify({ account, amount });
  const balances = async () => {
    const sums = {};
    for (const { payload } of await log.readBatch()) {
      const { account, amount } = JSON.parse(Buffer.from(payload).toString());
      sums[account] = (sums[account] ?? 0) + amount;
    }
    return sums;
  };
  return {
    balances,
    deposit: (account, amount) => log.append(move(account, amount)),
    transfer: (from, to, amount) => log.appendBatch([move(from, -amount), move(to, amount)]),
  };
}

// A run: at every operation, what a power cut may leave, and what had been confirmed by then.
const images = [];
let confirmed = 0;
let seed = 0;
const disk = new CrashFs();
const bank = await openBank(disk, new ManualRuntime());
await bank.deposit('ann', 100);
disk.onOperation = () => {
  for (const choose of [worst, choicesFromSeed((seed += 1)), choicesFromSeed((seed += 1))]) {
    images.push({ image: disk.crash(choose), confirmed });
  }
};
for (let i = 0; i < 20; i++) {
  await bank.transfer('ann', 'bob', 1);
  confirmed += 1;
}

// Every image, opened by the same code.
let broken = 0;
for (const { image, confirmed: least } of images) {
  const { balances } = await openBank(image, new ManualRuntime({ ioOrder: 'immediate' }));
  const { ann = 0, bob = 0 } = await balances();
  if (ann + bob !== 100 || bob < least) broken += 1;
}
console.log(images.length > 100, broken);
