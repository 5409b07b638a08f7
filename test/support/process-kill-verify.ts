/** Checks a store to the last byte, between the lives of its programs. */
import { Redex, type RecoveryReport } from '../../src/index.js';
import { inspect, namesOf } from './process-kill-inspect.js';
import type { KillLedger } from './process-kill-ledger.js';
import type { FoundChannel } from './process-kill-records.js';

/** Opens it, and closes it; and once more: then there is nothing to recover. */
export async function verifyStore(directory: string, ledger: KillLedger): Promise<void> {
  for (const pass of ['first', 'second']) {
    const reports: RecoveryReport[] = [];
    const redex = await Redex.open(directory, { onRecovery: (report) => reports.push(report) });
    const names = await namesOf(redex);
    const channels = await Promise.all(names.map((name) => redex.channel(name)));
    const problems: string[] = [];
    const found: FoundChannel[] = [];
    for (const channel of channels) {
      const report = await channel.verify();
      if (!report.ok) problems.push(`${channel.name}: ${JSON.stringify(report.problems)}`);
      found.push(await inspect(channel));
    }
    await redex.close();
    const damaged = reports.filter(({ damage }) => damage !== undefined);
    if (damaged.length > 0) problems.push(`damage: ${JSON.stringify(damaged)}`);
    if (pass === 'second' && reports.length > 0) problems.push('it was not closed cleanly');
    if (problems.length > 0) throw new Error(`${directory}: ${problems.join('; ')}`);
    ledger.check(found);
  }
}

/** Looks without changing anything: all that a stop may leave is the torn tail of a segment. */
export async function verifyTails(directory: string): Promise<number> {
  const redex = await Redex.open(directory, { readOnly: true });
  let tails = 0;
  for (const name of await namesOf(redex)) {
    const { problems } = await (await redex.channel(name)).verify();
    const damage = problems.filter(({ severity }) => severity === 'damage');
    if (damage.length > 0) throw new Error(`${name}: ${JSON.stringify(damage)}`);
    tails += problems.filter(({ kind }) => kind === 'tail').length;
  }
  await redex.close();
  return tails;
}
