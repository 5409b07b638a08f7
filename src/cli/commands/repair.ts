/** `redex repair`: what verify has found is mended, and every damaged byte kept. */
import { RedexError } from '../../core/errors.js';
import { encodeChannelName } from '../../format/channel-name.js';
import { CHANNELS_NAME } from '../../format/file-name.js';
import { nodeFs } from '../../fs/node-fs.js';
import type { RepairLoss, RepairPlan, RepairReport, RepairStep } from '../../index.js';
import type { CliCommand } from '../command.js';
import type { Session } from '../session.js';
import { noChannel, notAStore } from '../store.js';
import { counted, formatBytes, formatCount } from '../units.js';

interface Flags {
  readonly dryRun?: boolean;
}

/** Does it, or only says what would be done. */
async function repaired(
  directory: string,
  channel: string | undefined,
  isDry: boolean,
): Promise<RepairPlan | RepairReport> {
  if (channel !== undefined) requireChannel(directory, channel);
  const { planRepair, repairStore } = await import('../../index.js');
  try {
    return await (isDry ? planRepair : repairStore)(directory, { channel });
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) throw notAStore(directory);
    throw error;
  }
}

/** A repair of a channel that is not there would find nothing to do. */
function requireChannel(directory: string, channel: string): void {
  const path = `${directory}/${CHANNELS_NAME}/${encodeChannelName(channel)}`;
  const isThere = nodeFs.statSync(path)?.kind === 'directory';
  if (!isThere && nodeFs.statSync(directory) !== undefined) throw noChannel(directory, channel);
}

function nameOf({ channel = 'the store' }: RepairStep | RepairLoss): string {
  return channel;
}

function placeOf(
  { path, position }: Pick<RepairStep, 'path' | 'position'>,
  directory: string,
): string {
  const inside = path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
  return position === undefined ? inside : `${inside} at byte ${formatCount(position)}`;
}

function seqsOf({ seqRange }: RepairStep | RepairLoss): string {
  if (seqRange === undefined) return '';
  const { firstSeq, nextSeq } = seqRange;
  return nextSeq - firstSeq === 1
    ? `record ${formatCount(firstSeq)}`
    : `records ${formatCount(firstSeq)} to ${formatCount(nextSeq - 1)}`;
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
      `    ${step.reason}${seqs === '' ? '' : ` (${seqs})`}`,
      `    ${isDry ? 'would be done' : 'done'}: ${step.action}`,
    );
  }
  lines.push('', heading(isDry ? 'would be lost' : 'lost'), ...lossLines(session, plan, bad));
  if (kept.length > 0) {
    lines.push('', heading(isDry ? 'would be kept aside' : 'kept aside'));
    const rows = kept.map(({ path, keptAt, bytes }) => [
      placeOf({ path }, directory),
      formatBytes(bytes),
      placeOf({ path: keptAt }, directory),
    ]);
    const columns = [
      { title: 'file', isFlexible: true },
      { title: 'bytes', align: 'right' as const },
      { title: 'kept at' },
    ];
    lines.push(...session.table(columns, rows));
  }
  return [...lines, '', totalLine(plan, losses, isDry)];
}

function lossLines(
  session: Session,
  { losses, directory }: RepairPlan,
  bad: (text: string) => string,
): string[] {
  if (losses.length === 0) return [`  ${session.theme.good('nothing')}`];
  return losses.map((loss) => {
    const what = [nameOf(loss), seqsOf(loss)].filter((text) => text !== '').join(', ');
    const place = loss.reason.includes(loss.path) ? '' : ` (${placeOf(loss, directory)})`;
    return `  ${bad(what)}: ${loss.reason}${place}`;
  });
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
          const report = await repaired(directory, name, isDry);
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
