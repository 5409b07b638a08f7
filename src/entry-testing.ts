/** The testing kit: file systems that crash and fail, a runtime run by hand, contract suites. */
export { benign, choicesFrom, choicesFromSeed, Random, worst } from './testing/choices.js';
export type { Choose } from './testing/choices.js';
export { adversary } from './testing/crash-adversary.js';
export { CrashFs } from './testing/crash-fs.js';
export { ext4Ordered, xfs } from './testing/crash-journal.js';
export { processKill, strict } from './testing/crash-profiles.js';
export type { Profile } from './testing/crash-profiles.js';
export { profileNamed, profiles } from './testing/profile-list.js';
export { FaultFs } from './testing/fault-fs.js';
export type { FaultEffect, FaultRule } from './testing/fault-rules.js';
export type { FaultEvent } from './testing/fault-context.js';
export { fileSystemContract } from './testing/file-system-contract.js';
export { ManualRuntime } from './testing/manual-runtime.js';
export { MemoryFs } from './fs/memory-fs.js';
