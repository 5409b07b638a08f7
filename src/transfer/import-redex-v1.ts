/** A log of RedEX as a channel. */
import type { Redex } from '../store/redex.js';
import {
  checkName,
  DEFAULT_STORED,
  storedWith,
  type ConfigureOptions,
} from '../channel/options.js';
import { importItems, type ImportOptions, type ImportReport } from './import-store.js';
import type { RedexV1Log } from './redex-v1.js';
import type { TransferItem } from './transfer-items.js';

export interface RedexV1ImportOptions extends ImportOptions {
  /** The name of the channel. */
  readonly channel: string;
  /** What is stored with it. Default: as for any channel that is created. */
  readonly options?: ConfigureOptions | undefined;
}

/** See importStore, which rejects with the same. */
export async function importRedexV1(
  redex: Redex,
  log: RedexV1Log,
  options: RedexV1ImportOptions,
): Promise<ImportReport> {
  checkName(options.channel);
  return importItems(redex, itemsOfLog(log, options), options);
}

async function* itemsOfLog(
  log: RedexV1Log,
  { channel: name, options = {}, signal }: RedexV1ImportOptions,
): AsyncGenerator<TransferItem, undefined> {
  const { firstSeq, nextSeq, damaged } = log;
  const stored = storedWith(options, DEFAULT_STORED);
  yield { kind: 'channel', head: { name, options: stored, firstSeq, nextSeq } };
  for await (const records of log.batches(signal)) yield { kind: 'records', records };
  yield { kind: 'channelEnd', damaged };
}
