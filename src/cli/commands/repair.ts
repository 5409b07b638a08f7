/** `redex repair`: what verify has found is mended, and every damaged byte kept. */
import { once } from 'node:events';
import { encodeChannelName } from '../../format/channel-name.js';
import { CHANNELS_NAME } from '../../format/file-name.js';
import { nodeFs } from '../../fs/node-fs.js';
import type { RepairLoss, RepairPlan, RepairReport, RepairStep } from '../../index.js';
import type { CliCommand } from '../command.js';
import type { Session } from '../session.js';
import { requireStore } from '../inspect-store.js';
import { noChannel } from '../store.js';
import { counted, formatBytes, formatCount } from '../units.js';

interface Flags {
  readonly dryRun?: boolean;
}

/** Does it, or only says what would be done. */
async function repaired(
  session: Session,
  directory: string,
  channel: string | undefined,
  isDry: boolean,
): Promise<RepairPlan | RepairReport> {
  requireStore(nodeFs, directory);
  if (channel !== undefined) requireChannel(directory, channel);
  const { planRepair, repairStore } = await import('../../index.js');
  if (!isDry) return await whole(session, repairStore(directory, { channel }));
  return await unlessInterrupted(session, planRepair(directory, { channel }));
}

/** A plan is made in memory: nothing is left of one that is given up. */
async function unlessInterrupted<T>({ signal }: Session, planning: Promise<T>): Promise<T> {
  const interrupted = signal.aborted
    ? Promise.resolve()
    : once(signal, 'abort').then(() => undefined);
  const plan = await Promise.race([planning, interrupted]);
  if (plan !== undefined) return plan;
  planning.catch(() => undefined);
  throw signal.reason;
}

/** What a repair has begun it ends: whoever interrupts it is told how to do without that. */
async function whole<T>(session: Session, repairing: Promise<T>): Promise<T> {
  const { signal } = session.io;
  const tell = (): void => {
    const text = 'the repair goes on to its end; a second signal kills it, and it can be run again';
    session.note(text).catch(() => undefined);
  };
  signal.addEventListener('abort', tell, { once: true });
  try {
    return await repairing;
  } finally {
    signal.removeEventListener('abort', tell);
  }
}

/** A repair of a channel that is not there would find nothing to do. */
function requireChannel(directory: string, channel: string): void {
  const path = `${directory}/${CHANNELS_NAME}/${encodeChannelName(channel)}`;
  const isThere = nodeFs.statSync(path)?.kind === 'directory';
  if (!isThere) throw noChannel(directory, channel);
}

function nameOf({ channel = 'the store' }: RepairStep | RepairLoss): string {
  return channel;
}

function placeOf(
  { path, position }: Pick<RepairStep, 'path' | 'position'>,
  directory: string,
): string {
  const place = inside(path, directory);
  return position === undefined ? place : `${place} at byte ${position}`;
}

/** Paths in a text as they are in the store. */
const inside = (text: string, directory: string): string => text.replaceAll(`${directory}/`, '');

function seqsOf({ seqRange }: RepairStep | RepairLoss): string {
  if (seqRange === undefined) return '';
  const { firstSeq, nextSeq } = seqRange;
  return nextSeq - firstSeq === 1 ? `record ${firstSeq}` : `records ${firstSeq} to ${nextSeq - 1}`;
}

function repairLines(session: Session, plan: RepairPlan, isDry: boolean): string[] {
  const { directory, steps, losses, kept } = plan;
  const { good, bad, heading, dim } = session.theme;
  if (steps.length === 0) return [good('there is nothing to repair')];
  const lines: string[] = [];
  let last: string | undefined;
  for (const step of steps) {
    const name = nameOf(step);
    if (name !== last) lines.push(...(last === undefined ? [] : ['']), heading(name));
    last = name;
    const seqs = seqsOf(step);
    lines.push(
      `  ${step.kind}  ${dim(placeOf(step, directory))}`,
      `    ${inside(step.reason, directory)}${seqs === '' ? '' : ` (${seqs})`}`,
      `    ${isDry ? 'would be done' : 'done'}: ${step.action}`,
    );
  }
  const done = session.bounded(lines, 'lines');
  lines.splice(0, lines.length, ...done);
  lines.push('', heading(isDry ? 'would be lost' : 'lost'), ...lossLines(session, plan, bad));
  if (kept.length > 0) {
    lines.push('', heading(isDry ? 'would be kept aside' : 'kept aside'));
    const files = kept.map(({ keptAt, bytes }) => {
      return `  ${formatBytes(bytes).padStart(10)}  ${placeOf({ path: keptAt }, directory)}`;
    });
    lines.push(...session.bounded(files, 'files'));
  }
  return [...lines, '', totalLine(plan, losses, isDry)];
}

function lossLines(
  session: Session,
  { losses, directory }: RepairPlan,
  bad: (text: string) => string,
): string[] {
  if (losses.length === 0) return [`  ${session.theme.good('nothing')}`];
  const lines = losses.map((loss) => {
    const what = [nameOf(loss), seqsOf(loss)].filter((text) => text !== '').join(', ');
    const place = loss.reason.includes(loss.path) ? '' : ` (${placeOf(loss, directory)})`;
    return `  ${bad(what)}: ${inside(loss.reason, directory)}${place}`;
  });
  return session.bounded(lines, 'losses');
}

function totalLine(plan: RepairPlan, losses: readonly RepairLoss[], isDry: boolean): string {
  const { steps, savedRecords, writtenBytes } = plan;
  const saved =
    savedRecords === 0
      ? ''
      : `, ${counted(savedRecords, 'record')} salvaged, ${formatBytes(writtenBytes)} written`;
  const lost = losses.length === 0 ? '' : `, ${formatCount(losses.length)} not to be saved`;
  const hint = isDry ? '; nothing was changed: run it without --dry-run to do it' : '';
  return `${counted(steps.length, 'step')}${saved}${lost}${hint}`;
}

export const repair: CliCommand = {
  name: 'repair',
  summary: 'mend what verify has found, and keep every damaged byte',
  description:
    'Rebuilds derived files, cuts torn tails, and saves what is whole around damage into a new ' +
    'generation. Every damaged byte is kept in a directory with the date in its name. Look at ' +
    '--dry-run first, and copy the directory. Exits with 1 when records cannot be saved.',
  examples: [
    ['redex repair ./data --dry-run', 'What would be done. Changes nothing.'],
    ['redex repair ./data orders', 'One channel, and what all of them need.'],
  ],
  define(command, runs) {
    command
      .argument('<data-dir>', 'directory of the store')
      .argument('[channel]', 'name of a channel; all when not given')
      .option('--dry-run', 'Say what would be done, and change nothing.')
      .action(
        runs(async (session, directory: string, name: string | undefined, flags: Flags) => {
          const isDry = flags.dryRun === true;
          const report = await repaired(session, directory, name, isDry);
          const isProblem = report.losses.length > 0 || (isDry && report.steps.length > 0);
          if (isProblem) session.problem();
          const { directory: path, steps, losses, kept, savedRecords, writtenBytes } = report;
          const saved = { savedRecords, writtenBytes };
          const document = { directory: path, dryRun: isDry, steps, losses, kept, ...saved };
          await session.show(document, () => repairLines(session, report, isDry));
        }),
      );
  },
};
