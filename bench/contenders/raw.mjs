/**
 * raw: plain fs calls that move the same payload bytes with nothing around them. Not a contender
 * to beat but the limit. Variants: `buffer` (a batch is one ready-made buffer), `writev` (a batch
 * is one writev of its payloads), `growing` and `preallocated` (what an awaited sync has to do),
 * `blocking` (preallocated, and the sync is a synchronous call).
 */
import * as fs from 'node:fs';

const PIECE = 512 * 1024;

/** @param {string} directory @param {import('../lib/types.js').OpenOptions} options */
export async function open(directory, options) {
  const variant = options.variant ?? 'buffer';
  const path = `${directory}/raw.dat`;
  const file = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  const prepared = variant === 'preallocated' || variant === 'blocking';
  if (prepared) preallocate(file, options.bytes ?? 0);
  let end = prepared ? 0 : fs.fstatSync(file).size;
  let whole = Buffer.alloc(0);
  let wholeOf;

  const write = (bytes) => {
    end += fs.writeSync(file, bytes, 0, bytes.length, end);
    if (!options.synced) return undefined;
    if (variant === 'blocking') return fs.fdatasyncSync(file);
    return datasync(file);
  };
  const appendBatch = (payloads) => {
    if (variant === 'writev') {
      end += fs.writevSync(file, payloads, end);
      return options.synced ? datasync(file) : undefined;
    }
    if (wholeOf !== payloads) {
      whole = Buffer.concat(payloads);
      wholeOf = payloads;
    }
    return write(whole);
  };
  const size = options.size ?? 1;
  /** @type {import('../lib/types.js').Store} */
  const store = {
    append: write,
    enqueue: write,
    appendBatch,
    scan: (request) => scan(file, size, request),
    getAll: (indices, visit) => getAll(file, size, indices, visit),
    count: () => end / size,
    settings: () => ({ variant, sync: options.synced ? 'fdatasync' : 'none' }),
    close: () => fs.closeSync(file),
  };
  return store;
}

function datasync(file) {
  return new Promise((resolve, reject) => {
    fs.fdatasync(file, (error) => {
      if (error instanceof Error) reject(error);
      else resolve(undefined);
    });
  });
}

/** Zeros that are written and synced: what a sync then overwrites needs no new blocks. */
function preallocate(file, bytes) {
  const zeros = Buffer.alloc(1024 * 1024);
  for (let at = 0; at < bytes; at += zeros.length) fs.writeSync(file, zeros, 0, zeros.length, at);
  fs.fsyncSync(file);
}

async function scan(file, size, { until }) {
  const piece = Buffer.allocUnsafe(PIECE);
  let bytes = 0;
  let touched = 0;
  for (;;) {
    const count = fs.readSync(file, piece, 0, PIECE, bytes);
    if (count === 0) break;
    touched += piece[0];
    bytes += count;
    if (until()) break;
  }
  return { records: bytes / size, bytes, touched };
}

async function getAll(file, size, indices, visit) {
  let touched = 0;
  for (const index of indices) {
    const payload = Buffer.allocUnsafe(size);
    fs.readSync(file, payload, 0, size, index * size);
    touched += payload.length + payload[0];
    if (visit !== undefined) visit(index, payload);
  }
  return touched;
}
