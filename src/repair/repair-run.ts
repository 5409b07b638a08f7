/** What all steps of one repair, or of one plan, work with. */
import type { SharedResources } from '../channel/channel-context.js';
import type { ChannelSettings } from '../channel/settings.js';
import type { FileSystem } from '../fs/file-system.js';
import type { DamagedBytes } from './kept-aside.js';
import type { RepairPace } from './pace.js';
import type { RepairNotes } from './repair-report.js';

export interface RepairRun {
  /** Of a plan, one whose changes stay in memory. */
  readonly fs: FileSystem;
  /** With the same file system. */
  readonly settings: ChannelSettings;
  readonly shared: SharedResources;
  /** Of the store. */
  readonly directory: string;
  /** Large files are neither copied nor written: it is only a plan. */
  readonly isDry: boolean;
  readonly notes: RepairNotes;
  readonly damaged: DamagedBytes;
  readonly pace: RepairPace;
  /** Paths of files that the disk cannot read all of; more may turn out to be. */
  readonly unreadable: ReadonlySet<string>;
}
