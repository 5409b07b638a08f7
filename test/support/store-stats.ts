/** What a run of the crash property of a store reached, so that a test can ask for all of it. */
export interface StoreStats {
  images: number;
  killImages: number;
  nested: number;
  /** Images in which commands were given and the power was cut again. */
  wentOn: number;
  channels: number;
  notCreated: number;
  leftInNew: number;
  leftInTrash: number;
  leftInRename: number;
  undecided: number;
  storePoisonings: number;
  channelPoisonings: number;
  refusals: number;
  failedOpens: number;
  taken: number;
  missing: number;
}

export function emptyStoreStats(): StoreStats {
  return {
    images: 0,
    killImages: 0,
    nested: 0,
    wentOn: 0,
    channels: 0,
    notCreated: 0,
    leftInNew: 0,
    leftInTrash: 0,
    leftInRename: 0,
    undecided: 0,
    storePoisonings: 0,
    channelPoisonings: 0,
    refusals: 0,
    failedOpens: 0,
    taken: 0,
    missing: 0,
  };
}

export function describeStoreStats(stats: StoreStats): string {
  return Object.entries(stats)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
