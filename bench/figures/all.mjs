/** All figures, in the order in which they are printed. */
import { p1 } from './p1-batches.mjs';
import { p2 } from './p2-single-written.mjs';
import { p3 } from './p3-in-flight-written.mjs';
import { p4 } from './p4-single-synced.mjs';
import { p5 } from './p5-in-flight-synced.mjs';
import { p6 } from './p6-scan.mjs';
import { p7 } from './p7-random-get.mjs';
import { p8 } from './p8-open.mjs';
import { p9 } from './p9-memory.mjs';
import { p10 } from './p10-reclaim.mjs';
import { p11 } from './p11-many-channels.mjs';
import { q1 } from './q1-queue.mjs';
import { q2 } from './q2-backlog.mjs';
import { s1s2 } from './s1-streams.mjs';
import { t1 } from './t1-tail-follow.mjs';

const P = [p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11];
export const FIGURES = [...P, q1, q2, s1s2, t1].flat();
