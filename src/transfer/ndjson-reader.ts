/**
 * Items from an export in lines of JSON. A record is believed as it stands; that the whole is what
 * was exported is known at the last line, so that nothing may count before the items have ended.
 */
import type { FailedCheck } from '../core/errors.js';
import { RunningChecksum } from '../format/checksum.js';
import { archiveDamage, archiveTooNew } from './archive-error.js';
import type { ByteReader } from './byte-reader.js';
import { ItemOrder } from './item-order.js';
import { channelOf, fieldsOf, isCount, rangesOf, recordOf, type Fields } from './ndjson-line.js';
import { hexOf, NDJSON_FORMAT, NDJSON_VERSION } from './ndjson-writer.js';
import type { TransferItem, TransferRecord } from './transfer-items.js';

/** A payload of the largest size with each of its bytes escaped fits into no string of V8. */
const MAX_LINE_BYTES = 500 * 1024 * 1024;
const LINE_FEED = new Uint8Array([0x0a]);
/** Records and bytes after which those read so far are handed on. */
const BATCH_RECORDS = 1024;
const BATCH_BYTES = 256 * 1024;

export async function* ndjsonItems(reader: ByteReader): AsyncGenerator<TransferItem, undefined> {
  const lines = new LineReader(reader);
  await lines.begin();
  for (;;) {
    const items = await lines.next();
    if (items === undefined) return;
    yield* items;
  }
}

class LineReader {
  readonly #reader: ByteReader;
  readonly #order = new ItemOrder();
  readonly #checksum = new RunningChecksum();
  /** Where the line begins that is being read. */
  #position = 0;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  async begin(): Promise<void> {
    const line = await this.#line();
    const fields = this.#fields(line);
    const { format, version } = fields;
    if (format !== NDJSON_FORMAT) throw this.#damage('magic', 'this is no export of redex');
    if (!isCount(version) || version === 0) throw this.#damage('fields', 'a version');
    if (version > NDJSON_VERSION) {
      throw archiveTooNew(this.#reader.path, version, NDJSON_VERSION);
    }
    this.#count(line);
  }

  /** What comes next, with all records that are there already; undefined behind the end. */
  async next(): Promise<TransferItem[] | undefined> {
    const records: TransferRecord[] = [];
    let bytes = 0;
    let line: Uint8Array | undefined = await this.#line();
    while (line !== undefined) {
      const fields = this.#fields(line);
      if ('kind' in fields) {
        const before: TransferItem[] = records.length > 0 ? [{ kind: 'records', records }] : [];
        const item = await this.#item(fields, line);
        return item === undefined ? undefined : [...before, item];
      }
      const record = this.#record(fields);
      this.#count(line);
      records.push(record);
      bytes += record.payload.byteLength;
      if (records.length >= BATCH_RECORDS || bytes >= BATCH_BYTES) break;
      this.#position = this.#reader.position;
      line = this.#reader.takeLine();
    }
    return [{ kind: 'records', records }];
  }

  async #line(): Promise<Uint8Array> {
    this.#position = this.#reader.position;
    for (;;) {
      const line = this.#reader.takeLine();
      if (line !== undefined) return line;
      if (this.#reader.heldBytes > MAX_LINE_BYTES) throw this.#damage('length', 'a line too long');
      if (!(await this.#reader.pull())) {
        throw this.#damage('length', 'the export is cut off here');
      }
    }
  }

  #fields(line: Uint8Array): Fields {
    const fields = fieldsOf(line);
    if (fields === undefined) throw this.#damage('fields', 'a line that is no JSON object');
    return fields;
  }

  #record(fields: Fields): TransferRecord {
    const record = recordOf(fields);
    if (record === undefined) throw this.#damage('fields', 'a line that is no record');
    if (fields['channel'] !== this.#order.head?.name) {
      throw this.#damage('sequence', 'a record of another channel');
    }
    this.#require(this.#order.add(record));
    return record;
  }

  async #item(fields: Fields, line: Uint8Array): Promise<TransferItem | undefined> {
    if (fields['kind'] === 'end') {
      await this.#end(fields);
      return undefined;
    }
    this.#count(line);
    if (fields['kind'] === 'channel') {
      const head = channelOf(fields);
      if (head === undefined) throw this.#damage('fields', 'a line that is no channel');
      this.#require(this.#order.begin(head));
      return { kind: 'channel', head };
    }
    const { kind, records, payloadBytes } = fields;
    const damaged = rangesOf(fields['damaged']);
    const isEnd = kind === 'channelEnd' && isCount(records) && isCount(payloadBytes);
    if (!isEnd || damaged === undefined) throw this.#damage('fields', 'a line of no known kind');
    if (fields['channel'] !== this.#order.head?.name) {
      throw this.#damage('sequence', 'the end of another channel');
    }
    this.#require(this.#order.end(records, payloadBytes, damaged));
    return { kind: 'channelEnd', damaged };
  }

  async #end(fields: Fields): Promise<void> {
    this.#require(this.#order.finish());
    const { channels, records, payloadBytes } = this.#order.totals;
    const isSame =
      fields['channels'] === channels &&
      fields['records'] === records &&
      fields['payloadBytes'] === payloadBytes;
    if (!isSame) throw this.#damage('sequence', 'the end does not fit what is before it');
    if (fields['checksum'] !== hexOf(this.#checksum.value)) {
      throw this.#damage('checksum', 'what is before the end is not what was written');
    }
    this.#position = this.#reader.position;
    if (!(await this.#reader.isAtEnd())) {
      throw this.#damage('length', 'there are bytes behind the end');
    }
  }

  #count(line: Uint8Array): void {
    this.#checksum.add(line, 0, line.byteLength);
    this.#checksum.add(LINE_FEED, 0, 1);
  }

  #require(problem: string | undefined): void {
    if (problem !== undefined) throw this.#damage('sequence', problem);
  }

  #damage(check: FailedCheck, detail: string): Error {
    return archiveDamage(this.#reader.path, this.#position, check, detail);
  }
}
