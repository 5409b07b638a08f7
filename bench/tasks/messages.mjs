/**
 * Enqueues messages and handles them in the same process, a bounded number in flight, and checks
 * that each is handled exactly once and that its bytes are the ones that were enqueued.
 */
import { performance } from 'node:perf_hooks';
import { watchLoop } from '../lib/loop.mjs';
import { GROUP, numbersFrom } from '../lib/payloads.mjs';
import { cpuSecondsOf } from '../lib/server.mjs';

const IN_FLIGHT = 1000;
/** Messages that are given to a contender at a time; each has its own acknowledgement. */
const AT_A_TIME = 250;
const NUMBER_DIGITS = 8;

/** A thousand texts of incompressible ASCII; a message is one of them behind its number. */
function textsOf(size) {
  const next = numbersFrom(0x9e3779b9);
  const letter = () => String.fromCodePoint(48 + ((next() >>> 24) % 64)).replace('\\', '~');
  return Array.from({ length: GROUP }, () =>
    Array.from({ length: size - NUMBER_DIGITS }, letter).join(''),
  );
}

/** What is under way, and what was handled. */
class Flow {
  #texts;
  /** Times that each message was handled. */
  #handled = new Uint8Array(1 << 20);
  #wake = () => undefined;
  #error;
  next = 0;
  settled = 0;

  constructor(size) {
    this.#texts = textsOf(size);
  }

  #textOf(number) {
    return String(number).padStart(NUMBER_DIGITS, '0') + this.#texts[number % GROUP];
  }

  take(count) {
    const texts = Array.from({ length: count }, (_, index) => this.#textOf(this.next + index));
    this.next += count;
    if (this.next > this.#handled.length) {
      const larger = new Uint8Array(this.#handled.length * 2);
      larger.set(this.#handled);
      this.#handled = larger;
    }
    return texts;
  }

  handle = (text) => {
    const number = Number(text.slice(0, NUMBER_DIGITS));
    if (text !== this.#textOf(number)) this.fail(new Error('a message was changed'));
    this.#handled[number] += 1;
    if (this.#handled[number] !== 1) this.fail(new Error(`message ${number} came twice`));
  };

  settle = (count) => {
    this.settled += count;
    this.#wake();
  };

  fail = (error) => {
    this.#error ??= error;
    this.#wake();
  };

  /** Resolves when at most so many messages are under way. */
  async atMost(count) {
    while (this.#error === undefined && this.next - this.settled > count) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** That everything was handled, after all of it was settled. */
  check() {
    const missing = this.#handled.subarray(0, this.next).indexOf(0);
    if (missing >= 0) throw new Error(`message ${missing} was never handled`);
    if (this.settled !== this.next) throw new Error(`${this.settled} acks for ${this.next}`);
  }
}

async function exchange(queue, flow, records, seconds) {
  const start = performance.now();
  const end = start + seconds * 1000;
  const before = flow.settled;
  const last = flow.next + records;
  while (flow.next < last && performance.now() < end) {
    await flow.atMost(IN_FLIGHT - AT_A_TIME);
    const done = queue.enqueueAll(flow.take(AT_A_TIME));
    if (done !== undefined) done.catch(flow.fail);
  }
  await flow.atMost(0);
  flow.check();
  return { done: flow.settled - before, seconds: (performance.now() - start) / 1000 };
}

export async function run(job) {
  const contender = await import(`../contenders/queues/${job.contender}.mjs`);
  const queue = await contender.open(job.directory, job);
  const flow = new Flow(job.size);
  queue.start(flow.handle, flow.settle, flow.fail);
  await exchange(queue, flow, job.warmRecords, job.warmSeconds);
  const cpu = process.cpuUsage();
  const serverCpu = cpuSecondsOf(job.serverPid);
  const loop = watchLoop();
  const timed = await exchange(queue, flow, job.records, job.seconds);
  const figures = loop();
  const used = process.cpuUsage(cpu);
  const result = {
    value: timed.done / timed.seconds,
    records: timed.done,
    cpu: (used.user + used.system) / 1e6 / timed.seconds,
    serverCpu: (cpuSecondsOf(job.serverPid) - serverCpu) / timed.seconds,
    loop: figures,
    settings: queue.settings(),
  };
  await queue.close();
  flow.check();
  return result;
}
