/** What a run of the crash property has reached: a harness that reaches nothing finds nothing. */
export interface CrashStats {
  images: number;
  killImages: number;
  nested: number;
  appendedAfter: number;
  cleanOpens: number;
  uncleanOpens: number;
  tornTails: number;
  certainTails: number;
  droppedSegments: number;
  keptAside: number;
  imagesWithRoll: number;
  imagesWithBatch: number;
  imagesWithSkip: number;
  inheritedRewritten: number;
  poisonings: number;
  noSpace: number;
  failedOpens: number;
  lostRecords: number;
  notCreated: number;
}

export function emptyStats(): CrashStats {
  return {
    images: 0,
    killImages: 0,
    nested: 0,
    appendedAfter: 0,
    cleanOpens: 0,
    uncleanOpens: 0,
    tornTails: 0,
    certainTails: 0,
    droppedSegments: 0,
    keptAside: 0,
    imagesWithRoll: 0,
    imagesWithBatch: 0,
    imagesWithSkip: 0,
    inheritedRewritten: 0,
    poisonings: 0,
    noSpace: 0,
    failedOpens: 0,
    lostRecords: 0,
    notCreated: 0,
  };
}

export function describeStats(stats: CrashStats): string {
  return Object.entries(stats)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
