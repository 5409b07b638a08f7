/**
 * A vitest reporter for what must not be overlooked: one line for each test that did not run, with
 * its reason, and `N passed, N failed` as the very last line. A file that cannot be loaded, an
 * error outside of any test, a test that never ended and a run without tests are failures too.
 */
import { writeFileSync } from 'node:fs';
import process from 'node:process';

export default class SummaryReporter {
  #passed = 0;
  #failed = 0;
  #finished = false;
  #filtered = false;
  #watching = false;

  onInit(vitest) {
    this.#filtered = vitest.config.testNamePattern !== undefined;
    this.#watching = vitest.config.watch;
    // Only at the exit is it certain that nothing prints after the last line.
    process.once('exit', (code) => this.#end(code));
  }

  onTestRunEnd(modules, unhandledErrors, reason) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const states = tests.map((test) => test.result().state);
    const count = (state) => states.filter((each) => each === state).length;
    this.#finished = true;
    this.#passed = count('passed');
    // Hooks of a suite fail without a test that failed; so does the loading of a file.
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = suites.filter((suite) => suite.errors().length > 0).length;
    this.#failed = count('failed') + count('pending') + broken + unhandledErrors.length;
    if (reason !== 'passed' && this.#failed === 0) this.#failed = 1;
    this.#printSkipped(tests.filter((test) => test.result().state === 'skipped'));
    if (this.#watching) process.stdout.write(this.#summary());
  }

  #printSkipped(skipped) {
    let filtered = 0;
    for (const test of skipped) {
      const reason = reasonOf(test);
      if (reason === undefined && this.#filtered) filtered++;
      else {
        const name = `${test.module.relativeModuleId} > ${test.fullName}`;
        print(`SKIPPED ${oneLine(name)}: ${oneLine(reason ?? 'no reason given')}`);
      }
    }
    if (filtered > 0) print(`${filtered} tests left out by the name filter`);
  }

  #end(code) {
    if (this.#watching) return;
    if (!this.#finished) print('the test run did not finish');
    else if (this.#passed + this.#failed === 0) print('no test ran');
    const succeeded = this.#finished && this.#passed > 0 && this.#failed === 0 && code === 0;
    if (!succeeded) {
      this.#failed = Math.max(this.#failed, 1);
      process.exitCode = code === 0 ? 1 : code;
    }
    process.stdout.write(this.#summary());
    // Lets scripts/test know that its last line has been printed.
    const mark = process.env.REDEX_SUMMARY_FILE;
    if (mark) writeFileSync(mark, this.#summary());
  }

  #summary() {
    return `${this.#passed} passed, ${this.#failed} failed\n`;
  }
}

/** The note of the skip, or that a hook around the test failed. */
function reasonOf(test) {
  const { note } = test.result();
  if (note !== undefined) return note;
  for (let suite = test.parent; suite !== undefined; suite = suite.parent) {
    if (suite.errors().length > 0) return 'a hook of its suite failed';
  }
  return undefined;
}

const oneLine = (text) => text.replaceAll(/\s+/g, ' ').trim();

function print(line) {
  process.stdout.write(`${line}\n`);
}
