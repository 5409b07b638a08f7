/**
 * Repairs one channel whose config and manifest are good: its segments, their derived files, and
 * the checkpoints of its folds. A torn tail is for the recovery of the engine, which knows it from
 * damage; everything else that does not verify is left out of a new generation. What is healthy is
 * not touched.
 */
import {
  fileOwner,
  generationName,
  MANIFEST_NAME,
  parseGenerationName,
  segmentFileName,
} from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import type { ChannelContext } from '../channel/channel-context.js';
import { replaceManifest } from '../channel/channel-files.js';
import { readChannel } from '../channel/open-channel.js';
import { recoverChannel } from '../channel/recovery.js';
import type { RecoveryReport, TornTail } from '../channel/recovery-report.js';
import { readWitnesses, type Witnesses } from '../channel/witnesses.js';
import type { FileSystem } from '../fs/file-system.js';
import type { RedoWrite } from '../journal/redo-plan.js';
import { repairCheckpoints } from './checkpoint-repair.js';
import { disagreementOf, fitsMark } from './clean-mark-check.js';
import { indexedUpTo, rebuildIndex, wrongIndexes } from './derived-files.js';
import { PlannedFs } from './planned-fs.js';
import type { RepairRun } from './repair-run.js';
import { freeGeneration, salvage } from './salvage.js';
import { planSalvage, type Finding, type SalvagePlan } from './salvage-plan.js';
import {
  findSegments,
  hasRecordsIn,
  isPlain,
  surveySegment,
  type FoundSegment,
  type SegmentSurvey,
} from './segment-survey.js';
import { noncesOf, withWaiting } from './waiting-bytes.js';

export interface RepairedChannel {
  readonly directory: string;
  /** What the journal has for it that could not be written to its files. */
  readonly waiting: readonly RedoWrite[];
  /** All that the journal has for it, written or not. */
  readonly journaled: readonly RedoWrite[];
  /** Every seq below it may have been given to a record, as the journal says. */
  readonly reached: number;
  /** Seqs that may have been in what is lost of the journal, at most. */
  readonly doubt: number;
}

/**
 * Repairs it, and says whether there was anything to work with. Throws FORMAT_VERSION, and CORRUPT
 * for a config or manifest that is not good.
 */
export async function repairChannel(run: RepairRun, channel: RepairedChannel): Promise<boolean> {
  const { directory } = channel;
  const place = { directory, name: undefined, isNameSynced: false };
  const { context, manifest } = readChannel(place, run.settings, run.shared, false);
  const repair = new ChannelRepair(run, channel, context);
  if (!repair.hasGeneration(manifest)) return false;
  await repair.run(manifest);
  return true;
}

/** The generation as it is, and what is to be done about it. */
interface Look {
  readonly surveys: readonly SegmentSurvey[];
  readonly plan: SalvagePlan;
  readonly witnesses: Witnesses;
  /** What the segments are read from. */
  readonly source: FileSystem;
  /** Files that are not in there as they are on the disk. */
  readonly changed: ReadonlySet<string>;
}

class ChannelRepair {
  readonly #run: RepairRun;
  readonly #channel: RepairedChannel;
  readonly #context: ChannelContext;

  constructor(run: RepairRun, channel: RepairedChannel, context: ChannelContext) {
    this.#run = run;
    this.#channel = channel;
    this.#context = context;
  }

  /** Without the live generation there is nothing to work with, and it may be in a backup. */
  hasGeneration({ generation }: Manifest): boolean {
    const { fs, notes } = this.#run;
    const path = `${this.#context.directory}/${generationName(generation)}`;
    if (fs.statSync(path)?.kind === 'directory') return true;
    const reason = `${path} is not there: the segments are to be taken from a backup`;
    notes.losses.push({ channel: this.#context.name, path, reason });
    return false;
  }

  async run(before: Manifest): Promise<void> {
    const manifest = await this.#cutTail(before);
    const look = await this.#look(manifest);
    if (look.plan.isNeeded) await this.#salvage(manifest, look);
    else {
      await this.#rebuildIndexes(manifest, look);
      this.#raiseNextSeq(manifest, look);
    }
    await repairCheckpoints(this.#run, this.#context);
  }

  /** Has the engine cut a torn tail, if there is one; nothing else of its recovery is needed. */
  async #cutTail(manifest: Manifest): Promise<Manifest> {
    const { fs, notes } = this.#run;
    const context = this.#context;
    const { owner, directory, generationDirectory } = context;
    const found = findSegments(owner, generationDirectory);
    if (!isForEngine(found) || this.#channel.waiting.length > 0) return manifest;
    const probe = new PlannedFs(fs, directory);
    const torn = await recoverOn(context, probe, manifest, 'never');
    // Bytes that the disk could not read are no end of the log, and not to be cut off.
    if (torn === undefined || this.#hasUnreadable) return manifest;
    const real = await recoverOn(context, fs, manifest, context.stored.sync);
    for (const { path, position, byteLength, keptAside } of (real ?? torn).regions) {
      const { reason, count, mayHaveBeenAcknowledged } = torn;
      const kept = keptAside === undefined ? 'they are zeros' : `they are kept in ${keptAside}`;
      const doubt = mayHaveBeenAcknowledged ? '; they may have been acknowledged' : '';
      notes.steps.push({
        kind: 'tail',
        channel: context.name,
        path,
        position,
        bytes: byteLength,
        reason: `what begins there was not known to be synced, and is not whole (${reason})`,
        action: `the bytes behind it are cut off; ${kept}`,
      });
      if (mayHaveBeenAcknowledged) {
        const lost = `a torn tail with ${count} records that verify${doubt}`;
        notes.losses.push({
          channel: context.name,
          path,
          position,
          bytes: byteLength,
          reason: lost,
        });
      }
      if (keptAside !== undefined) {
        notes.kept.push({ path, keptAt: keptAside, bytes: byteLength });
      }
    }
    return readChannel(this.#place, this.#run.settings, this.#run.shared, false).manifest;
  }

  get #hasUnreadable(): boolean {
    const { generationDirectory } = this.#context;
    return [...this.#run.unreadable].some((path) => path.startsWith(`${generationDirectory}/`));
  }

  get #place(): { directory: string; name: undefined; isNameSynced: boolean } {
    return { directory: this.#context.directory, name: undefined, isNameSynced: false };
  }

  async #look(manifest: Manifest): Promise<Look> {
    const { fs } = this.#run;
    const { owner, generationDirectory } = this.#context;
    const { waiting, reached, doubt } = this.#channel;
    const overlay = withWaiting({ ...owner, fs }, generationDirectory, waiting, manifest);
    const source = overlay?.fs ?? fs;
    const nonces = noncesOf(this.#channel.journaled);
    const found = findSegments({ ...owner, fs: source }, generationDirectory, nonces);
    const live = found.filter(
      (_each, i) => (found[i + 1]?.baseSeq ?? Infinity) > manifest.firstSeq,
    );
    const surveys: SegmentSurvey[] = [];
    for (const each of live) surveys.push(await surveySegment(source, each, this.#run.pace.read));
    const witnesses = readWitnesses(this.#context);
    const { mark, highest } = witnesses;
    const last = surveys.at(-1);
    const stated = Math.max(manifest.firstSeq, manifest.nextSeqFloor);
    const proven = Math.max(highest, manifest.redoSeq);
    const end = last?.nextSeq ?? 0;
    const lostEnd = doubt > 0 ? Math.max(end, highest) + doubt : 0;
    const bases = found.map(({ baseSeq }) => baseSeq);
    const indexed = indexedUpTo({ ...owner, fs: source }, generationDirectory, bases);
    const plan = planSalvage({
      surveys,
      firstSeq: manifest.firstSeq,
      proven: proven > stated ? proven : 0,
      floor: Math.max(stated, proven, indexed, reached, lostEnd),
      isExact:
        mark?.generation === manifest.generation &&
        mark.baseSeq === last?.baseSeq &&
        last.size === mark.datLength,
      pathOf: (baseSeq) => `${generationDirectory}/${segmentFileName(baseSeq, 'dat')}`,
    });
    const findings = [
      ...plan.findings,
      ...disagreementOf(this.#context, manifest, mark, last),
      ...this.#waitingFindings(overlay !== undefined),
    ];
    const whole = { ...plan, findings, isNeeded: findings.length > 0 };
    return { surveys, plan: whole, witnesses, source, changed: overlay?.changed ?? new Set() };
  }

  /** What is only in the journal has to get into files. */
  #waitingFindings(isWaiting: boolean): Finding[] {
    if (!isWaiting) return [];
    const { generationDirectory: path } = this.#context;
    const what = 'the journal has records of the channel that cannot be written where they belong';
    return [{ path, position: 0, bytes: 0, check: 'missing', firstSeq: 0, nextSeq: 0, what }];
  }

  /** Seqs that a lost part of the journal may have given away are not given again. */
  #raiseNextSeq(manifest: Manifest, { plan: { nextSeq } }: Look): void {
    if (this.#channel.doubt === 0 || manifest.nextSeqFloor >= nextSeq) return;
    const { name: channel, directory } = this.#context;
    const path = `${directory}/${MANIFEST_NAME}`;
    const reason = 'the last records of the channel may have been in what is lost of the journal';
    const action = `its next seq is ${nextSeq}`;
    this.#run.notes.steps.push({ kind: 'manifest', channel, path, reason, action });
    replaceManifest(this.#run.fs, directory, { ...manifest, nextSeqFloor: nextSeq });
  }

  async #salvage(manifest: Manifest, { plan, surveys, source, changed }: Look): Promise<void> {
    const { fs, notes, damaged, isDry, pace } = this.#run;
    const { name, directory } = this.#context;
    const bytes = surveys.reduce((sum, { size }) => sum + size, 0);
    for (const finding of plan.findings) this.#tell(finding);
    for (const path of new Set([...plan.findings.map((each) => each.path), ...changed])) {
      pace.check();
      if (fs.statSync(path)?.kind === 'file') await damaged.copy(path);
    }
    this.#keepStrays();
    await this.#keepOthers(manifest, plan);
    const generation = generationName(freeGeneration(fs, directory, manifest));
    for (const { path, identity } of surveys) {
      if (typeof identity === 'string' || !identity.isByPlace) continue;
      const reason = `nothing but its place says that ${path} belongs to the channel`;
      notes.losses.push({ channel: name, path, reason });
    }
    notes.steps.push({
      kind: 'salvage',
      channel: name,
      path: `${directory}/${generation}`,
      bytes,
      reason: `the live generation cannot stay as it is (findings: ${plan.findings.length})`,
      action:
        `${plan.recordCount} records that verify go into ${generation}; ` +
        `the next seq is ${plan.nextSeq}`,
    });
    notes.savedRecords += plan.recordCount;
    if (isDry) {
      notes.writtenBytes += bytes;
      return;
    }
    const { writtenBytes } = await salvage({
      context: this.#context,
      manifest,
      plan,
      source,
      pace,
    });
    notes.writtenBytes += writtenBytes;
  }

  /** What is in the generation and is none of its files would go with it. */
  #keepStrays(): void {
    const { fs, damaged } = this.#run;
    const { generationDirectory } = this.#context;
    for (const { name } of fs.readDirectorySync(generationDirectory)) {
      if (fileOwner(name) === undefined) damaged.move(`${generationDirectory}/${name}`);
    }
  }

  /** Other generations that have records which the new one misses: the next open removes them. */
  async #keepOthers(manifest: Manifest, { findings }: SalvagePlan): Promise<void> {
    const { fs, notes, damaged, pace } = this.#run;
    const { directory, name: channel, owner } = this.#context;
    for (const { name, kind } of fs.readDirectorySync(directory)) {
      const generation = kind === 'directory' ? parseGenerationName(name) : undefined;
      if (generation === undefined || generation === manifest.generation) continue;
      const path = `${directory}/${name}`;
      if (!(await hasRecordsIn({ ...owner, fs }, path, findings, pace.read))) continue;
      const reason =
        'it is not live, and has records with seqs that cannot be read in the one that is';
      notes.steps.push({ kind: 'generation', channel, path, reason, action: 'is set aside' });
      damaged.move(path);
    }
  }

  #tell({ path, position, bytes, firstSeq, nextSeq, what: reason }: Finding): void {
    const { notes } = this.#run;
    const seqRange = { firstSeq, nextSeq };
    const isLoss = firstSeq < nextSeq;
    const place = {
      channel: this.#context.name,
      path,
      position,
      bytes,
      ...(isLoss ? { seqRange } : {}),
    };
    const action = 'what verifies around it is salvaged';
    notes.steps.push({ kind: 'damage', ...place, reason, action });
    if (isLoss) notes.losses.push({ ...place, reason });
  }

  async #rebuildIndexes(manifest: Manifest, { surveys, witnesses }: Look): Promise<void> {
    const { fs, notes, pace } = this.#run;
    const { owner, generationDirectory, name } = this.#context;
    for (const survey of surveys) {
      // The one that is written to gets its entries in larger pieces, and by the next open.
      const isMarked = fitsMark(manifest, witnesses.mark, survey);
      if (survey.seal === undefined && !isMarked) continue;
      const wrong = await wrongIndexes(fs, owner, generationDirectory, survey, pace.read);
      if (wrong.length === 0) continue;
      for (const path of wrong) {
        const reason = `${path} is not there, or does not say what its dat file says`;
        notes.steps.push({ kind: 'index', channel: name, path, reason, action: 'is built anew' });
      }
      await rebuildIndex(owner, generationDirectory, survey);
    }
  }
}

/**
 * Whether what is wrong may be a torn tail. The engine cuts off a segment whose header is bad, also
 * when something else says who it is; and a whole one behind a file that is somebody else's, which
 * no crash leaves there.
 */
function isForEngine(found: readonly FoundSegment[]): boolean {
  const foreign = found.findIndex(({ identity }) => identity === 'identity');
  const isFollowed = foreign >= 0 && found.slice(foreign + 1).some(isPlain);
  const isKnown = (each: FoundSegment): boolean =>
    isPlain(each) || typeof each.identity === 'string';
  return !isFollowed && found.every(isKnown);
}

/** The recovery of the engine on a file system. Returns the torn tail that it has cut. */
async function recoverOn(
  context: ChannelContext,
  fs: FileSystem,
  manifest: Manifest,
  sync: ChannelContext['stored']['sync'],
): Promise<TornTail | undefined> {
  let torn: TornTail | undefined;
  const onRecovery = ({ tornTail }: RecoveryReport): void => {
    torn = tornTail;
  };
  const { settings, owner, stored } = context;
  await recoverChannel(
    {
      ...context,
      fs,
      owner: { ...owner, fs },
      settings: { ...settings, fs, onRecovery },
      stored: { ...stored, sync },
    },
    manifest,
  );
  return torn;
}
