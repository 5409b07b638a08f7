/**
 * The contract of a QueueStore as tests, for whoever keeps queues. Runs in any test runner that
 * has `describe`, `test` and `expect`.
 */
import type { TestRunner } from './contract-support.js';
import { queueBlockContract } from './queue-contract-blocks.js';
import { queueCommitContract } from './queue-contract-commit.js';
import { queueDeadContract } from './queue-contract-dead.js';
import { queueDedupContract } from './queue-contract-dedup.js';
import { queueEnqueueContract } from './queue-contract-enqueue.js';
import { queueGroupContract } from './queue-contract-groups.js';
import { queueInspectContract } from './queue-contract-inspect.js';
import { queueLimitContract } from './queue-contract-limits.js';
import { queueManageContract } from './queue-contract-manage.js';
import { queueOrderContract } from './queue-contract-order.js';
import { queuePassingContract } from './queue-contract-passing.js';
import { queueReceiveContract } from './queue-contract-receive.js';
import { queueRestartContract } from './queue-contract-restart.js';
import { queueSettleContract } from './queue-contract-settle.js';
import {
  QueueChecks,
  type QueueContractOptions,
  type QueueContractPart,
  type QueueTest,
} from './queue-contract-support.js';

export function queueStoreContract(runner: TestRunner, options: QueueContractOptions): void {
  const { describe, test, expect } = runner;
  const check: QueueTest = (name, body) => {
    test(name, async () => {
      const subject = await options.make();
      try {
        await body(subject);
      } finally {
        await subject.queues.close();
        await subject.cleanup?.();
      }
    });
  };
  const checks = new QueueChecks(expect);
  const part: QueueContractPart = { describe, test, expect, check, checks };
  describe(`QueueStore contract: ${options.name}`, () => {
    describe('enqueue', () => queueEnqueueContract(part));
    describe('receive', () => queueReceiveContract(part));
    describe('settle', () => queueSettleContract(part));
    describe('order and time', () => queueOrderContract(part));
    describe('dedup', () => queueDedupContract(part));
    describe('groups', () => queueGroupContract(part));
    describe('many at once', () => queuePassingContract(part));
    describe('dead letters', () => queueDeadContract(part));
    describe('keys that wait for a dead letter', () => queueBlockContract(part));
    describe('look', () => queueInspectContract(part));
    describe('manage', () => queueManageContract(part));
    describe('limits', () => queueLimitContract(part));
    describe('commit', () => queueCommitContract(part));
    describe('restart', () => queueRestartContract(part));
  });
}
