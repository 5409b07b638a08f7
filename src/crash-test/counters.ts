/** What a crash test has reached: a harness that reaches nothing finds nothing. */
export interface Counters {
  /** Images that were opened and compared, those of crashes during a recovery apart. */
  images: number;
  /** Images of crashes during a recovery. */
  nested: number;
  /** Of both, those whose bytes no other one of their run had. */
  distinct: number;
  /** Of both, those that were not opened, because that was done with the same bytes before. */
  repeated: number;
  /** Images whose second open is known from the same bytes that another image led to. */
  sameAfter: number;
  /** Images with two channels and twenty records or more, opened and compared twice. */
  wholeImages: number;
  killImages: number;
  /** Images taken while a roll, trim, retention, compaction or checkpoint was under way. */
  inMaintenance: number;
  inRoll: number;
  inTrim: number;
  inCompaction: number;
  inCheckpoint: number;
  inNameChange: number;
  /** Operations of the file system that opening an image took. */
  openOperations: number;
  opens: number;
  records: number;
  tornTails: number;
  certainTails: number;
  keptAside: number;
  imagesWithRoll: number;
  imagesWithHole: number;
  imagesTrimmed: number;
  /** Images in which something that was appended is not there. */
  lostRecords: number;
  noStore: number;
  appendedAfter: number;
  closedAfter: number;
  foldsAfter: number;
  foldsRestored: number;
  foldsRefused: number;
  readOnlyLooks: number;
  verified: number;
  compactions: number;
  compactionsSwapped: number;
  trims: number;
  deletes: number;
  renames: number;
  conflicts: number;
  busy: number;
  tailed: number;
  refusals: number;
  noSpace: number;
  poisonings: number;
  failedOpens: number;
  /** Commits that were acknowledged. */
  commits: number;
  /** Commits of which a tail has seen a part, and a read then all of the others. */
  commitsWatched: number;
  /** Images taken while a commit was under way. */
  inCommit: number;
  /** Images taken while a checkpoint moved the place where a redo begins. */
  inJournalCheckpoint: number;
  /** Images whose journal has something to redo. */
  imagesToRedo: number;
  /** Images in which a segment of the journal is used again. */
  recycledJournals: number;
  /** Images with a creation, and with a deletion, to redo. */
  journalCreations: number;
  journalDeletions: number;
}

const NONE: Counters = {
  images: 0,
  nested: 0,
  distinct: 0,
  repeated: 0,
  sameAfter: 0,
  wholeImages: 0,
  killImages: 0,
  inMaintenance: 0,
  inRoll: 0,
  inTrim: 0,
  inCompaction: 0,
  inCheckpoint: 0,
  inNameChange: 0,
  openOperations: 0,
  opens: 0,
  records: 0,
  tornTails: 0,
  certainTails: 0,
  keptAside: 0,
  imagesWithRoll: 0,
  imagesWithHole: 0,
  imagesTrimmed: 0,
  lostRecords: 0,
  noStore: 0,
  appendedAfter: 0,
  closedAfter: 0,
  foldsAfter: 0,
  foldsRestored: 0,
  foldsRefused: 0,
  readOnlyLooks: 0,
  verified: 0,
  compactions: 0,
  compactionsSwapped: 0,
  trims: 0,
  deletes: 0,
  renames: 0,
  conflicts: 0,
  busy: 0,
  tailed: 0,
  refusals: 0,
  noSpace: 0,
  poisonings: 0,
  failedOpens: 0,
  commits: 0,
  commitsWatched: 0,
  inCommit: 0,
  inJournalCheckpoint: 0,
  imagesToRedo: 0,
  recycledJournals: 0,
  journalCreations: 0,
  journalDeletions: 0,
};

export function noCounters(): Counters {
  return { ...NONE };
}

/** Those that were never reached, of those that a long run has to reach. */
export function unreached(counters: Counters): string[] {
  return Object.entries(counters).flatMap(([name, count]) => (count === 0 ? [name] : []));
}
