/** How long the event loop is kept from turning. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** Watches from now on; the function that is returned ends it and tells the figures. */
export function watchLoop() {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = performance.eventLoopUtilization();
  delay.enable();
  return () => {
    delay.disable();
    return loopFigures(delay, performance.eventLoopUtilization(before).utilization);
  };
}

/** Milliseconds by which a 1 ms timer came late; none at all when the loop never turned. */
function loopFigures(delay, busy) {
  const late = (nanos) => Math.max(0, nanos / 1e6 - 1);
  const turned = delay.count > 0;
  return {
    busy,
    turns: delay.count,
    p99Ms: turned ? late(delay.percentile(99)) : undefined,
    maxMs: turned ? late(delay.max) : undefined,
  };
}
