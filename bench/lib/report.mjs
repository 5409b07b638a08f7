/** Tables, verdicts, and the file with everything. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { verdict } from './checks.mjs';

const UNITS = {
  'records/s': { name: 'k/s', text: (value) => grouped(value / 1e3) },
  'messages/s': { name: 'k/s', text: (value) => grouped(value / 1e3) },
  'bytes/s': { name: 'GB/s', text: (value) => (value / 1e9).toFixed(2) },
  MiB: { name: 'MiB', text: (value) => value.toFixed(1) },
  ms: { name: 'ms', text: (value) => value.toFixed(value < 10 ? 2 : 1) },
};

function grouped(value) {
  if (value < 100) return value.toFixed(value < 10 ? 2 : 1);
  return Math.round(value).toLocaleString('en-US');
}

/** A line that is replaced by the next one; nothing unless somebody looks. */
export function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** @param {string[][]} lines The first is the heading; the first column is aligned to the left. */
function table(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** How much better the first row of ours is: more of a rate, less of a time. */
function oursAgainst(part, row, results) {
  if (part.withoutPeers) return '';
  const ours = results.find(({ role }) => role === 'ours');
  if (ours?.median === undefined || row.median === undefined || row === ours) return '';
  const times = part.unit === 'ms' ? row.median / ours.median : ours.median / row.median;
  return `${times.toFixed(times < 10 ? 2 : 1)} ×`;
}

function rowCells(part, row, results) {
  const unit = UNITS[part.unit];
  if (row.error !== undefined) {
    const what = row.missing === undefined ? 'failed' : 'SKIPPED';
    return [`  ${row.label}`, what, '', '', '', '', '', '', ''];
  }
  const last = row.runs.at(-1);
  const { loop, cpu } = last;
  const syncs = row.syncs?.perStep;
  return [
    `  ${row.label}`,
    unit.text(row.median),
    unit.text(row.min),
    unit.text(row.max),
    oursAgainst(part, row, results),
    cpu === undefined ? '' : `${Math.round(cpu * 100)} %`,
    loop === undefined ? '' : `${Math.round(loop.busy * 100)} %`,
    loop === undefined ? '' : (loop.p99Ms?.toFixed(1) ?? 'blocked'),
    syncs === undefined ? '' : syncs.toFixed(2),
  ];
}

/** Columns in which no row has anything to say are left out. */
function withoutEmpty(lines) {
  const kept = lines[0].map((_, column) => lines.slice(1).some((line) => line[column] !== ''));
  return lines.map((line) => line.filter((_, column) => kept[column]));
}

export function printPart(part, results, checks, { trial }) {
  const unit = UNITS[part.unit].name;
  console.log(`\n${part.id}  ${part.title}`);
  console.log(`    durability class: ${part.durability}`);
  const heading = [`  ${unit}`, 'median', 'min', 'max', 'ours is', 'CPU', 'loop busy'];
  heading.push('late p99 ms', part.syncedStep ?? 'syncs');
  const cells = results.map((row) => rowCells(part, row, results));
  for (const line of table(withoutEmpty([heading, ...cells]))) console.log(line);
  for (const row of results) printRemarks(row);
  for (const check of checks) printCheck(check, trial);
}

function printRemarks(row) {
  if (row.missing !== undefined) console.log(`    SKIPPED: ${row.label}: ${row.error}`);
  else if (row.error !== undefined) console.log(`    ${row.label} failed: ${row.error}`);
  for (const line of row.details ?? []) console.log(`    ${row.label}: ${line}`);
  if (row.settings !== undefined && row.role !== 'raw') {
    const settings = Object.entries(row.settings).map(([name, value]) => {
      return `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`;
    });
    console.log(`    ${row.label}: ${settings.join(', ')}${syncText(row)}`);
  }
  if (row.syncs?.perStep < 0.99) {
    console.log(`    NOT SYNCED: ${row.label} acknowledges more than its syncs cover`);
  }
}

function syncText(row) {
  if (row.syncs === undefined) return '';
  if (row.syncs.error !== undefined) return `; syncs not counted: ${row.syncs.error}`;
  const calls = Object.entries(row.syncs.calls).map(([name, count]) => `${count} ${name}`);
  return `; ${calls.join(', ') || 'no sync'} for ${row.syncs.records} records`;
}

function printCheck(check, trial) {
  const { text, value, target, direction, unit, note } = check;
  const sign = direction === '>=' ? '≥' : '≤';
  const digits = (number) => (Math.abs(number) < 10 ? number.toFixed(2) : number.toFixed(1));
  const measured = value === undefined ? '–' : `${digits(value)} ${unit}`;
  const words = `${text}: ${measured} (target ${sign} ${target} ${unit})`;
  const result = `${trial ? 'trial: ' : ''}${verdict(check)}`.padEnd(trial ? 19 : 12);
  console.log(`  ${result} ${words}${note ? `; ${note}` : ''}`);
}

export function printSummary(parts, { trial }) {
  const checks = parts.flatMap(({ id, checks: some }) => some.map((check) => ({ id, ...check })));
  const count = (what) => checks.filter((check) => verdict(check) === what).length;
  const counts = ['met', 'missed', 'not measured'].map((what) => `${count(what)} ${what}`);
  const what = trial ? ' in this trial run' : '';
  console.log(`\n${checks.length} targets${what}: ${counts.join(', ')}`);
  for (const check of checks) {
    if (verdict(check) === 'missed') console.log(`  missed  ${check.id}  ${check.text}`);
  }
}

/** Everything, with each single run. Returns where it is. */
export function writeResults(report) {
  const folder = new URL('../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const name = `${report.machine.date.replace(/[:.]/g, '-')}.json`;
  writeFileSync(new URL(name, folder), `${JSON.stringify(report, undefined, 2)}\n`);
  return `bench/results/${name}`;
}
