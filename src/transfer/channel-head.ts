/** The head of a channel as files have it: JSON that is believed only after a check. */
import {
  checkName,
  checkStored,
  DEFAULT_STORED,
  MAX_SEQ,
  storedWith,
  type StoredChannelOptions,
} from '../channel/options.js';
import { checkKnown } from '../channel/option-checks.js';
import { isStageName, type ChannelHead } from './transfer-items.js';

const OPTIONS: ReadonlySet<string> = new Set(['sync', 'segmentBytes', 'segmentMs', 'retention']);

/** Undefined for what cannot be a channel's head. `text` has its name and options. */
export function headFrom(
  text: unknown,
  firstSeq: unknown,
  nextSeq: unknown,
): ChannelHead | undefined {
  if (typeof text !== 'object' || text === null) return undefined;
  const { name, options } = text as Readonly<Record<string, unknown>>;
  if (!isSeq(firstSeq) || !isSeq(nextSeq) || nextSeq < firstSeq || firstSeq > MAX_SEQ) {
    return undefined;
  }
  try {
    checkName(name);
    checkKnown(options, OPTIONS);
    const given = options as Partial<StoredChannelOptions>;
    checkStored(given);
    if (isStageName(name)) return undefined;
    return { name, options: storedWith(given, DEFAULT_STORED), firstSeq, nextSeq };
  } catch {
    return undefined;
  }
}

function isSeq(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
