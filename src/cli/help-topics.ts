/** What `redex help <topic>` tells. Written for 80 columns. */

export interface HelpTopic {
  readonly summary: string;
  readonly text: string;
}

const DURABILITY = `\
What survives

  written   in the operating system's cache: survives kill -9, not a power cut
  synced    on the disk: survives a power cut

The policy of a channel (create --sync, configure --sync) says what an append
of a program waits for:

  always                            its sync. The default
  every=N,bytes=SIZE,interval=TIME  written; a sync follows at the first of
                                    these that is reached
  never                             written; close() and the end of a segment
                                    sync

redex append writes, and syncs all of it before it ends: when it exits with 0,
everything is on the disk. With --sync each batch is synced before more input
is read. A batch is there whole or not at all, whatever happens. What a power
cut takes is always the end of a channel, never a part in front of something
that stays.

A kill of redex append keeps every batch that was written. Ctrl-C ends it
after the batch at hand, and syncs.
`;

const EXIT_CODES = `\
Exit codes

  0    fine
  1    a problem was found: damage, no such channel or store, locked, disk full
  2    wrong usage: unknown commands and options, values that cannot be read
  130  interrupted by SIGINT or SIGTERM; nothing half done is left

When whoever reads the output goes away (redex cat d c | head) the command ends
quietly with 0. Data goes to standard output; errors, notes and progress go to
standard error. A bar shows progress where that is a terminal.

verify exits with 1 when a channel is damaged; wrong index files, which are
rebuilt, and notes leave it at 0. inspect exits with 1 when it could not show
all of a store or channel.
`;

const FORMATS = `\
Formats of records

  text     the payload and a newline, byte for byte. The default of cat and tail
  hex      the payload in hex digits, one record a line
  base64   the payload in base64, one record a line
  ndjson   one JSON object a line (--json):

    {"seq":7,"timestamp":1700000000000,"timestampNs":"1700000000000000000",
     "type":0,"payload":"aGVsbG8="}

  timestamp is unix milliseconds, timestampNs unix nanoseconds as a string,
  payload base64.

append reads one record a line: text by default, --hex, --base64, or --json for
NDJSON as cat writes it. There, instead of "payload", "text" gives a string and
"json" any value, which is stored as JSON. seq is left out of account unless
--keep-seqs is given. --length-prefixed reads binary records: four bytes of
length, the most significant first, and then so many bytes.

A line ends with a newline only: a carriage return before it belongs to the
record. An empty line is an empty record. So text goes through append and cat
unchanged, but for the newline that the last line then has.
`;

const UNITS = `\
Units

  sizes      4096, 64KiB, 10MiB, 1GiB (1024), 10MB, 1GB (1000)
  durations  500ms, 10s, 5m, 12h, 7d, 2w
  seqs       whole numbers from 0 on; ranges are half open: --from 10 --to 12
             are the records 10 and 11

See also redex help dates. With --json everything is in bytes, milliseconds and
whole numbers.
`;

const DATES = `\
Dates

--since, --until and the like take

  2026-11-21                     midnight, UTC
  2026-11-21T10:30               UTC
  2026-11-21T10:30:00.250+01:00  with a time zone
  2h                             two hours ago (500ms, 10s, 5m, 12h, 7d, 2w)
  1700000000000                  unix milliseconds
  1700000000000000000            unix nanoseconds

Output is in UTC: 2026-11-21T10:30:00.000Z.
`;

export const HELP_TOPICS: ReadonlyMap<string, HelpTopic> = new Map([
  ['durability', { summary: 'what survives a kill, a crash, a power cut', text: DURABILITY }],
  ['exit-codes', { summary: 'what the exit code says', text: EXIT_CODES }],
  ['formats', { summary: 'records as text, hex, base64, JSON', text: FORMATS }],
  ['units', { summary: 'sizes, durations, seqs', text: UNITS }],
  ['dates', { summary: 'points in time', text: DATES }],
]);
