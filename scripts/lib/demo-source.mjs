/**
 * The records of the demo. The writer and the verifier both read them from the source, so the rule
 * has to give the same records each time: a record is one line with its newline, or 64 KiB of a
 * longer line. Of a directory, all text files are taken, in the order of their names.
 */
import { Buffer } from 'node:buffer';
import { closeSync, createReadStream, openSync, readdirSync, readSync, statSync } from 'node:fs';
import path from 'node:path';

export const RECORD_BYTES = 64 * 1024;
const PIECE_BYTES = 256 * 1024;
/** A file without a zero byte at its start is text: the rule of many tools. */
const LOOKED_AT_BYTES = 8 * 1024;
const NEWLINE = 10;

/** The files of a source, in their order. A file that is named is taken whatever is in it. */
function* filesOf(source) {
  if (!statSync(source).isDirectory()) yield source;
  else yield* textFilesBelow(source);
}

function* textFilesBelow(directory) {
  const entries = readdirSync(directory, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* textFilesBelow(file);
    else if (entry.isFile() && isText(file)) yield file;
  }
}

function isText(file) {
  const start = Buffer.alloc(LOOKED_AT_BYTES);
  const descriptor = openSync(file, 'r');
  try {
    const length = readSync(descriptor, start, 0, LOOKED_AT_BYTES, 0);
    return !start.subarray(0, length).includes(0);
  } finally {
    closeSync(descriptor);
  }
}

/** The records of a source, in arrays; each array lives as long as its records. */
export async function* recordsOf(source) {
  for (const file of filesOf(source)) {
    let rest = Buffer.alloc(0);
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
      const split = splitRecords(rest.length === 0 ? piece : Buffer.concat([rest, piece]));
      rest = split.rest;
      yield split.records;
    }
    if (rest.length > 0) yield [rest];
  }
}

/** Whole records, and the bytes of which it is not known yet where their record ends. */
function splitRecords(bytes) {
  const records = [];
  let start = 0;
  for (;;) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline + 1;
    const isLong = end - start > RECORD_BYTES;
    if (newline < 0 && !isLong) return { records, rest: bytes.subarray(start) };
    const next = isLong ? start + RECORD_BYTES : end;
    records.push(bytes.subarray(start, next));
    start = next;
  }
}

/** How many records a source has, counted up to `limit`. */
export async function countRecords(source, limit) {
  let count = 0;
  for await (const records of recordsOf(source)) {
    count += records.length;
    if (count >= limit) return limit;
  }
  return count;
}
