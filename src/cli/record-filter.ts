/**
 * Conditions on records: `type=3`, `seq>=1000`, `/user/id=42`, `/done`. A small language of its
 * own, so that nothing that is typed is ever run. A record without the field meets no condition
 * on it, not even `!=`.
 */
import { InvalidArgumentError } from 'commander';
import type { LogRecord } from '../index.js';
import { jsonOf, parsePointer, valueAt } from './json-pointer.js';

export type RecordFilter = (record: LogRecord) => boolean;

const HELP =
  'Write type=3, seq>=1000, /json/pointer=value or /json/pointer; ' +
  'comparisons are = != < <= > >=.';

type Order = '<' | '<=' | '>' | '>=';

/** One condition. Throws for what is none. */
export function parseFilter(text: string): RecordFilter {
  const match = /^(type|seq|(?:\/[^=!<>]*)+)(?:(!=|<=|>=|=|<|>)(.*))?$/s.exec(text.trim());
  const [, field, comparison, operand] = match ?? [];
  if (field === undefined) throw new InvalidArgumentError(HELP);
  const read = readerOf(field);
  if (comparison === undefined) {
    if (!field.startsWith('/')) throw new InvalidArgumentError(HELP);
    return (record) => read(record) !== undefined;
  }
  const wanted = operandOf(operand ?? '');
  const isOrder = comparison.startsWith('<') || comparison.startsWith('>');
  if (isOrder && typeof wanted !== 'number') {
    throw new InvalidArgumentError('Only numbers can be less or greater.');
  }
  if (!field.startsWith('/') && typeof wanted !== 'number') throw new InvalidArgumentError(HELP);
  return (record) => holds(read(record), comparison as '=' | '!=' | Order, wanted);
}

function readerOf(field: string): (record: LogRecord) => unknown {
  if (field === 'type') return (record) => record.type;
  if (field === 'seq') return (record) => record.seq;
  const pointer = parsePointer(field);
  return (record) => valueAt(jsonOf(record), pointer);
}

/** JSON where it is JSON, and text where it is not: `/state=done` needs no quotes. */
function operandOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const ORDERS: Readonly<Record<Order, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

function holds(value: unknown, comparison: '=' | '!=' | Order, wanted: unknown): boolean {
  if (value === undefined) return false;
  if (comparison === '=') return isSame(value, wanted);
  if (comparison === '!=') return !isSame(value, wanted);
  const isOrdered = typeof value === 'number' && typeof wanted === 'number';
  return isOrdered && ORDERS[comparison](value, wanted);
}

const isSame = (a: unknown, b: unknown): boolean =>
  a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));

/** All of them. */
export function every(filters: readonly RecordFilter[]): RecordFilter {
  return (record) => filters.every((filter) => filter(record));
}
