/**
 * `planRepair` and `repair`: what is wrong with a data directory and can be put right. A repair is
 * planned first, on a file system whose changes stay in memory, so that what cannot be repaired (a
 * file of a newer version, above all) ends it before anything was changed, and a healthy store is
 * not touched. Then the same steps are taken on the disk, each of which may be the last one: what
 * is replaced was kept, and what takes its place was synced, before.
 */
import { redexError } from '../core/errors.js';
import { SharedResources } from '../channel/channel-context.js';
import { checkKnown, checkObject, checkType } from '../channel/option-checks.js';
import { checkName } from '../channel/options.js';
import { ioError } from '../channel/io-error.js';
import { checkSettings, settingsOf, type ChannelSettings } from '../channel/settings.js';
import type { Logger, Runtime } from '../core/runtime.js';
import { CHANNELS_NAME, STORE_MANIFEST_NAME } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { nodeFs } from '../fs/node-fs.js';
import { systemCodeOf } from '../fs/system-error.js';
import { resolvedPath } from '../store/data-directory.js';
import { StoreLock } from '../store/store-lock.js';
import { checkDirectory } from '../store/store-options.js';
import { DamagedBytes } from './kept-aside.js';
import { RepairPace, type PaceOptions, type RepairProgress } from './pace.js';
import { PlannedFs } from './planned-fs.js';
import { ReadableFs } from './readable-fs.js';
import { RepairNotes, type RepairPlan, type RepairReport } from './repair-report.js';
import { refuseNewer } from './store-manifest-repair.js';
import { repairAll } from './store-repair.js';

export interface RepairOptions {
  /** Only this channel, and what all of them need. Default: all channels. */
  readonly channel?: string | undefined;
  readonly fs?: FileSystem | undefined;
  readonly runtime?: Runtime | undefined;
  readonly logger?: Logger | undefined;
  /** Ends it between two steps, with its reason: what has been done stays. */
  readonly signal?: AbortSignal | undefined;
  /** Told often. What it throws ends it like the signal. */
  readonly onProgress?: ((progress: RepairProgress) => void) | undefined;
}

const KNOWN: ReadonlySet<string> = new Set([
  'channel',
  'fs',
  'runtime',
  'logger',
  'signal',
  'onProgress',
]);

function check(directory: unknown, options: RepairOptions): asserts directory is string {
  checkDirectory(directory);
  checkKnown(options, KNOWN);
  const { channel, signal, onProgress, ...settings } = options;
  checkObject('signal', signal, 'throwIfAborted');
  checkType('onProgress', onProgress, 'function');
  if (channel !== undefined) checkName(channel);
  checkSettings(settings);
}

/**
 * What `repair` would do, without a lock and without any change: nobody may be writing to the
 * directory meanwhile, or what it says may be wrong. Rejects with NOT_FOUND, FORMAT_VERSION, IO, or
 * the signal's reason.
 */
export async function planRepair(
  directory: string,
  options: RepairOptions = {},
): Promise<RepairPlan> {
  check(directory, options);
  return guarded(directory, options.signal, () => plan(prepare(directory, options)));
}

/**
 * Repairs a data directory that nobody has open. Rejects with LOCKED, NOT_FOUND, FORMAT_VERSION and
 * CORRUPT (a new generation that does not read back as it was written) with nothing changed; with
 * IO when the disk has refused something, and with the signal's reason: then it can be called
 * again, and does the rest.
 */
export async function repair(
  directory: string,
  options: RepairOptions = {},
): Promise<RepairReport> {
  check(directory, options);
  return guarded(directory, options.signal, async () => {
    const job = prepare(directory, options);
    const { path, settings } = job;
    refuseNewer(settings.fs, path);
    const lock = StoreLock.take(settings.fs, path);
    try {
      const planned = await plan(job);
      if (planned.steps.length === 0) return { ...planned, repaired: false };
      lock.announce(settings);
      const done = await carryOut(job, settings, false);
      return { ...done, repaired: true };
    } finally {
      lock.release();
    }
  });
}

interface Job {
  /** Of the store. */
  readonly path: string;
  readonly settings: ChannelSettings;
  readonly channel: string | undefined;
  readonly unreadable: ReadonlySet<string>;
  readonly pacing: PaceOptions;
}

function plan(job: Job): Promise<RepairPlan> {
  const { path, settings } = job;
  const fs = new PlannedFs(settings.fs, path);
  return carryOut(job, { ...settings, fs }, true);
}

async function carryOut(
  { path: directory, channel, unreadable, pacing }: Job,
  settings: ChannelSettings,
  isDry: boolean,
): Promise<RepairPlan> {
  const notes = new RepairNotes();
  const { fs, runtime } = settings;
  const damaged = new DamagedBytes(fs, directory, runtime, isDry, notes.kept, unreadable);
  const shared = new SharedResources(settings);
  const pace = new RepairPace(isDry ? 'plan' : 'repair', pacing);
  pace.check();
  const run = { fs, settings, shared, directory, isDry, notes, damaged, unreadable, pace };
  await repairAll(run, channel);
  return notes.planFor(directory);
}

function prepare(directory: string, options: RepairOptions): Job {
  const { fs = nodeFs, runtime, logger, channel, ...pacing } = options;
  const readable = new ReadableFs(fs);
  const settings = settingsOf({ fs: readable, runtime, logger });
  const path = resolvedPath(fs, directory);
  const names = [CHANNELS_NAME, STORE_MANIFEST_NAME];
  if (names.some((name) => fs.statSync(`${path}/${name}`) !== undefined)) {
    return { path, settings, channel, unreadable: readable.unreadable, pacing };
  }
  const message = `there is no data directory in ${directory}`;
  throw redexError('NOT_FOUND', message, { kind: 'store', resource: directory });
}

/** Errors of the system become IO; the signal's reason stays what it is. */
async function guarded<T>(
  directory: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isReason = signal?.aborted === true && error === signal.reason;
    if (isReason || systemCodeOf(error) === undefined) throw error;
    throw ioError('repair', directory, error, 'absent');
  }
}
