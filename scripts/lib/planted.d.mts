export interface PlantedBug {
  readonly name: string;
  readonly rule: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** The history that goes wrong, and what its user sees. */
  readonly breaks: string;
  /** Written by somebody who had not seen the tests. */
  readonly blind?: boolean;
  readonly profiles?: readonly string[];
  /** Whose crash test finds it; absent: that of channels. */
  readonly layer?: 'queues' | 'streams';
  readonly found?: { readonly seed: number; readonly profile: string; readonly images: number };
  /** The test that finds it, where no crash shows it. */
  readonly foundByTest?: string;
  /** Why nobody can see it. */
  readonly equivalent?: string;
}

export function readBugs(): PlantedBug[];
export function writeBugs(bugs: readonly PlantedBug[]): void;
export function plantedSource(bug: PlantedBug): string;
export function failsTest(bug: PlantedBug, test: string): Promise<boolean>;
export function plant(bug?: PlantedBug): string;
export function unplant(directory: string): void;
