/**
 * Verifies a whole channel: every byte of its files, up to the end that is accepted when it is
 * called. It starts over when another generation takes the place of the one that it reads.
 */
import { redexError } from '../core/errors.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { ChannelCore } from './channel-core.js';
import { ioError } from './io-error.js';
import { Progress } from './verify-progress.js';
import { checkVerifyOptions, type VerifyOptions, type VerifyReport } from './verify-report.js';
import { OtherGeneration, Verification } from './verify-run.js';

/** How often it starts over because another generation took the place of the one it reads. */
const MAX_STARTS = 4;

/** See Channel.verify. */
export async function verifyChannel(
  core: ChannelCore,
  options: VerifyOptions,
): Promise<VerifyReport> {
  checkVerifyOptions(options);
  const { runtime } = core.context.settings;
  const started = runtime.monotonic();
  const progress = new Progress(options);
  for (let start = 1; ; start++) {
    const run = new Verification(core, options, progress);
    try {
      const report = await core.health.unlessClosed(run.run());
      // The files of a channel that was deleted meanwhile are not missing.
      if (core.health.isClosed) throw core.health.closedError();
      return { ...report, durationMs: runtime.monotonic() - started };
    } catch (error) {
      if (run.stoppedBy !== undefined) throw run.stoppedBy.reason;
      if (error instanceof OtherGeneration) {
        if (start < MAX_STARTS) continue;
        throw restlessError(core.context.directory);
      }
      if (systemCodeOf(error) === undefined) throw error;
      throw ioError('verify', core.context.directory, error, 'absent');
    }
  }
}

function restlessError(path: string): Error {
  const fields = { operation: 'verify', path, systemCode: 'EAGAIN', outcome: 'absent' } as const;
  return redexError('IO', `${path} is compacted faster than it can be verified`, fields);
}
