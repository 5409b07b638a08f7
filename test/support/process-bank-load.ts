/**
 * A bank, to be killed: ledgers are channels, and every transfer is a commit over two or three of
 * them, many at once; now and then a ledger is opened or closed in the commit that moves what is in
 * it. It tells on descriptor 3 what it found, what it begins and what was acknowledged.
 * Usage: node process-bank-load.js DIRECTORY SEED LIFE
 */
import { writeSync } from 'node:fs';
import process from 'node:process';
import { Redex, RedexError } from '../../src/index.js';
import type { CommitOperation } from '../../src/store/commit-input.js';
import { Random } from '../../src/testing/choices.js';
import {
  Audit,
  decodeEntry,
  entryRecord,
  idOf,
  LEDGERS,
  ledgerName,
  type FoundBank,
} from './process-bank-records.js';

/** What the program tells. */
export type BankMessage =
  | readonly ['start', number]
  /** The store is open: its recovery is over. */
  | readonly ['store']
  | readonly ['found', FoundBank]
  /** It begins its work; how many channels had to be recovered is not told. */
  | readonly ['open', number]
  | readonly ['begin', number]
  | readonly ['ack', number]
  | readonly ['failed', string];

const REPORTS = 3;
const AT_ONCE = 12;
const MAX_MS = 60_000;
const PASSING = 'passing/';
/** Small ones go round often; the last one is hardly ever written to the ledgers. */
const JOURNALS: readonly number[] = [256 * 1024, 256 * 1024, 1024 * 1024, 16 * 1024 * 1024];

const [directory = '', seed = '0', lifeText = '0'] = process.argv.slice(2);
const life = Number(lifeText);
const random = new Random(Number(seed) * 1009 + life);
let number = 0;

function say(...message: BankMessage): void {
  writeSync(REPORTS, `${JSON.stringify(message)}\n`);
}

function fail(error: unknown): never {
  say('failed', RedexError.is(error) ? error.code : `untyped ${String(error)}`);
  console.error(error);
  process.exit(3);
}

/** Ledgers that come and go, with what is in them. */
const passing = new Map<string, number>();

async function audit(redex: Redex): Promise<Audit> {
  const sums = new Audit();
  for await (const { name } of redex.channels()) {
    const channel = await redex.channel(name, { createIfMissing: false });
    for (const { payload } of await channel.readBatch({ limit: 1_000_000 })) {
      const entry = decodeEntry(payload);
      sums.add(entry);
      if (name.startsWith(PASSING)) passing.set(name, (passing.get(name) ?? 0) + entry.amount);
    }
  }
  return sums;
}

/** Most are synced by each append, some write to their files directly. */
function optionsOf(index: number): { sync: 'always' | 'never' | { everyN: number } } {
  if (index % 5 === 3) return { sync: 'never' };
  return { sync: index % 5 === 4 ? { everyN: 8 } : 'always' };
}

async function commit(id: number, operations: readonly CommitOperation[]): Promise<void> {
  say('begin', id);
  await (redex ?? fail('no store')).commit(operations);
  say('ack', id);
}

function ledgers(count: number): number[] {
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random.below(LEDGERS));
  return [...chosen];
}

async function transfer(): Promise<void> {
  const parties = 2 + random.below(2);
  const id = idOf(life, number++);
  const amount = 1 + random.below(1000);
  let rest = 0;
  const operations = ledgers(parties).map((index, i) => {
    const part = i === parties - 1 ? -rest : amount * (i + 1);
    rest += part;
    const channel = ledgerName(index);
    return { channel, records: [entryRecord({ id, amount: part, parties })] };
  });
  await commit(id, operations);
}

/** The amount goes to a ledger that is made for it. */
async function openLedger(): Promise<void> {
  const id = idOf(life, number++);
  const amount = 1 + random.below(1000);
  const name = `${PASSING}${id}`;
  const from = ledgerName(random.below(LEDGERS));
  await commit(id, [
    {
      channel: name,
      create: optionsOf(id),
      records: [entryRecord({ id, amount, parties: 0 })],
    },
    { channel: from, records: [entryRecord({ id, amount: -amount, parties: 1 })] },
  ]);
  passing.set(name, amount);
}

/** What is in a ledger goes back, and the ledger with it. */
async function closeLedger(): Promise<void> {
  const [found] = passing;
  if (found === undefined) return;
  const [name, amount] = found;
  passing.delete(name);
  const id = idOf(life, number++);
  const to = ledgerName(random.below(LEDGERS));
  await commit(id, [
    { delete: name },
    { channel: to, records: [entryRecord({ id, amount, parties: 1 })] },
  ]);
}

/** Direct appends between the commits: what was before a commit in its channel is there with it. */
async function note(): Promise<void> {
  const channel = await redex?.channel(ledgerName(random.below(LEDGERS)));
  const id = idOf(life, number++);
  const parties = 2;
  say('begin', id);
  await channel?.appendBatch([
    entryRecord({ id, amount: 7, parties }),
    entryRecord({ id, amount: -7, parties }),
  ]);
}

async function work(): Promise<void> {
  const end = process.uptime() * 1000 + MAX_MS;
  while (process.uptime() * 1000 < end) {
    const what = random.below(40);
    if (what === 0) await openLedger();
    else if (what === 1) await closeLedger();
    else if (what < 6) await note();
    else await transfer();
  }
}

let redex: Redex | undefined;
try {
  say('start', process.pid);
  redex = await Redex.open(directory, { journalBytes: JOURNALS[random.below(4)] });
  say('store');
  const { found } = await audit(redex);
  for (let index = 0; index < LEDGERS; index++) {
    await redex.channel(ledgerName(index), optionsOf(index));
  }
  say('found', found);
  say('open', 0);
  await Promise.all(Array.from({ length: AT_ONCE }, work));
} catch (error) {
  fail(error);
}
