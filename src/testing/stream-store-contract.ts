/**
 * The contract of a StreamStore as tests, for whoever keeps streams. Runs in any test runner that
 * has `describe`, `test` and `expect`.
 */
import type { TestRunner } from './contract-support.js';
import { streamAppendContract } from './stream-contract-append.js';
import { streamCreateContract } from './stream-contract-create.js';
import { streamForkContract } from './stream-contract-forks.js';
import { streamLifeContract } from './stream-contract-life.js';
import { streamLimitContract } from './stream-contract-limits.js';
import { streamProducerContract } from './stream-contract-producers.js';
import { streamReadContract } from './stream-contract-read.js';
import { streamRefusalContract } from './stream-contract-refusals.js';
import { streamRetentionContract } from './stream-contract-retention.js';
import {
  Checks,
  type ContractPart,
  type StreamContractOptions,
  type StreamTest,
} from './stream-contract-support.js';

export function streamStoreContract(runner: TestRunner, options: StreamContractOptions): void {
  const { describe, test, expect } = runner;
  const check: StreamTest = (name, body, given = {}) => {
    test(name, async () => {
      const subject = await options.make(given);
      try {
        await body(subject);
      } finally {
        await subject.streams.close();
        await subject.cleanup?.();
      }
    });
  };
  const part: ContractPart = { describe, test, expect, check, checks: new Checks(expect) };
  describe(`StreamStore contract: ${options.name}`, () => {
    describe('create', () => streamCreateContract(part));
    describe('append and close', () => streamAppendContract(part));
    describe('producers', () => streamProducerContract(part));
    describe('read, head and list', () => streamReadContract(part));
    describe('refusals', () => streamRefusalContract(part));
    describe('retention', () => streamRetentionContract(part));
    describe('limits', () => streamLimitContract(part));
    describe('delete, expiry and subscriptions', () => streamLifeContract(part));
    describe('forks', () => streamForkContract(part));
  });
}
