/**
 * Operations that speak of many messages, as several that speak of some of them each: for records
 * that would be longer than the store takes. Applied one after the other they lead to the state
 * that the whole one leads to.
 */
import { eachSeq, runsOf, type OperationContent, type Runs } from './queue-records.js';

/** Two operations, or more, in the place of one; undefined for what cannot be divided. */
export function dividedOperation(operation: OperationContent): OperationContent[] | undefined {
  const { o } = operation;
  if (o === 'lease' || o === 'back' || o === 'cancel') return inHalves(operation);
  if (o === 'done') return dividedDone(operation);
  return o === 'blocks' ? dividedBlocks(operation) : undefined;
}

function dividedBlocks(
  operation: OperationContent & { readonly o: 'blocks' },
): OperationContent[] | undefined {
  const { h } = operation;
  const middle = Math.ceil(h.length / 2);
  if (h.length < 2) return undefined;
  return [
    { ...operation, h: h.slice(0, middle) },
    { ...operation, h: h.slice(middle) },
  ];
}

/** Keys are held up before the messages that they wait for are done with. */
function dividedDone(
  operation: OperationContent & { readonly o: 'done' },
): OperationContent[] | undefined {
  const { g, h, to, ...rest } = operation;
  if (h === undefined || to === undefined) return inHalves(operation);
  return [
    { o: 'blocks', g, h, to },
    { ...rest, g },
  ];
}

type OfMessages = OperationContent & { readonly o: 'lease' | 'back' | 'cancel' | 'done' };

function inHalves(operation: OfMessages): OperationContent[] | undefined {
  const seqs = seqsOf(operation.s);
  if (seqs.length < 2) return undefined;
  const middle = Math.ceil(seqs.length / 2);
  return [partOf(operation, seqs, 0, middle), partOf(operation, seqs, middle, seqs.length)];
}

/** What is said of the messages from one to below another, in the order in which they are named. */
function partOf(
  operation: OfMessages,
  all: readonly number[],
  from: number,
  to: number,
): OperationContent {
  const seqs = all.slice(from, to);
  const s = runsOf(seqs);
  if (operation.o === 'back') return { ...operation, s };
  if (operation.o === 'lease') {
    const here = new Set(seqs);
    const k = operation.k?.filter(([seq]) => here.has(seq));
    const p = operation.p?.filter(([seq]) => here.has(seq));
    return { ...operation, s, z: operation.z.slice(from, to), k, p };
  }
  const at = operation.at?.slice(from, to);
  if (operation.o === 'done') return { ...operation, s, z: operation.z?.slice(from, to), at };
  const { z, k } = operation;
  return { ...operation, s, z: z.slice(from, to), at: at ?? [], k: k.slice(from, to) };
}

function seqsOf(runs: Runs): number[] {
  const seqs: number[] = [];
  eachSeq(runs, (seq) => seqs.push(seq));
  return seqs;
}
