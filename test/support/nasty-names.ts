/**
 * Channel names that a careless mapping to files would merge with one another, nest, or turn into
 * something else. All of them are valid and different, and any two can live beside each other.
 * Characters that a reader could not tell apart are written as escapes.
 */

const PATHS = [
  ['a', 'b', 'a/b', 'a/', '/a', '/', '//', 'a//b', 'a\\b', '\\', 'C:', 'C:\\a', '/etc/passwd'],
  ['.', '..', '...', '../a', '../../a', 'a/..', 'a/.', './a', '.a', 'a.', 'a..', 'a.b', '..a'],
].flat();

/** Names that files and directories of the store and of its channels have. */
const OURS = [
  ['a/v0000000001', 'a/manifest', 'v0000000001', 'manifest', 'manifest.tmp', 'config', 'clean'],
  ['config.next', '.new', '.trash', '.rename', '.new/a', '.trash/a', 'redex.json', 'LOCK'],
  ['LOCK.info', 'lock', 'channels', 'channels/a', 'journal', 'a.tmp', '00000000000000000000.dat'],
].flat();

const CASES = ['A', 'AB', 'Ab', 'aB', 'ab', 'Con', 'SS', 'ss', 'I', 'i', 'K', 'k', 'FF', 'ff'];

/** What normalisation or a change of case makes the same as another name of these lists. */
const UNICODE = [
  // e with acute: composed, decomposed, and in upper case.
  ['\u00e9', 'e\u0301', '\u00c9', 'E\u0301', 'e'],
  // The ligature ff, Kelvin, dotted capital and dotless small i, sharp s, full width a.
  ['\ufb00', '\u212a', '\u0130', '\u0131', 'i\u0307', '\u00df', '\u1e9e', '\uff41', '\uff21'],
  // Angstrom in three ways, Greek sigmas, mu and the micro sign, two orders of marks.
  ['\u212b', '\u00c5', 'A\u030a', '\u03c3', '\u03c2', '\u03a3', '\u03bc', '\u00b5'],
  ['a\u0323\u0307', 'a\u0307\u0323', '\u1112\u1161\u11ab', '\ud55c'],
  // Invisible: byte order mark, joiner, no-break space, direction, the replacement character.
  ['\ufeffa', 'a\ufeff', 'a\u200d', 'a\u00a0', '\u202ea', '\ufffd', 'a\u00ad'],
  // Full width dots and slash, which some normalise into paths.
  ['\uff0e\uff0e', '\uff0e\uff0e\uff0fa', '\u2024', '\u2025', '\u2215a'],
  // Beyond the basic plane: emoji, joined ones, a letter with a lower case.
  ['\u{1f600}', '\u{1f469}\u200d\u{1f680}', '\u{1f469}', '\u{10400}', '\u{10428}', '\u{10ffff}'],
].flat();

const DEVICES = [
  ['con', 'CON', 'con.txt', 'CON.txt', 'con.', 'con..', 'con ', 'con:', 'conx', 'con1', 'con-'],
  ['prn', 'aux', 'aux.h', 'nul', 'NUL', 'nul.tar.gz', 'null', 'com', 'com0', 'com1', 'com9.x'],
  ['com10', 'com1x', 'com\u00b9', 'lpt', 'lpt0', 'lpt1', 'lpt9.log', 'lpt10', 'conin$', 'clock$'],
].flat();

/** What the encoding itself writes, as a name. */
const ESCAPES = [
  ['%', '%%', '%4', '%41', '%61', '%2f', '%2F', '%2e', 'a%2fb', 'a%252fb', '%63on', '%25', '%zz'],
  ['~', 'a~b', 'a~1', 'progra~1', '~a', `a~${'0'.repeat(40)}`, '%7e'],
].flat();

const OTHER = [
  [' ', '  ', ' a', 'a ', 'a  ', 'a. ', 'a .', '\t', '\n', 'a\n', 'a\r\n', '\u0001', '\u007f'],
  ['-', '--', '-rf', '_', '*', '?', 'a*', '"', "'", '<', '>', '|', ':', 'a:b', 'a:$DATA', '&', ';'],
  ['$HOME', '`a`', '#', '!', '{}', '[]', '(', '+', '=', ',', '@', '^', '__proto__', 'constructor'],
  ['toString', 'null', 'undefined', 'NaN', '0', '-0', '00', '1e3'],
].flat();

/** 1,024 bytes of UTF-8 is the most that a name may have. */
const LONG = [
  ['a'.repeat(159), 'a'.repeat(160), 'a'.repeat(199), 'a'.repeat(200), 'a'.repeat(201)],
  ['a'.repeat(1023), 'a'.repeat(1024), `${'a'.repeat(1023)}b`, `${'a'.repeat(1023)}A`],
  ['A'.repeat(66), 'A'.repeat(67), 'A'.repeat(341), `${'a'.repeat(1022)}\u00e9`],
  ['\u00e9'.repeat(33), '\u00e9'.repeat(34), '\u00e9'.repeat(512), '\u{1f600}'.repeat(256)],
  ['/'.repeat(1024), '.'.repeat(1024), '.'.repeat(1023), ' '.repeat(1024), '../'.repeat(341)],
  [`a${'.'.repeat(1023)}`, `a${'.'.repeat(1022)}b`, `con${'.'.repeat(1021)}`],
  [`con.${'a'.repeat(1020)}`, `CON.${'a'.repeat(1020)}`, `${'a'.repeat(150)}${'.'.repeat(60)}b`],
  [`${'a'.repeat(157)}\u00e9${'a'.repeat(60)}`, `${'a'.repeat(156)}\u00e9${'a'.repeat(60)}`],
].flat();

/** Each once. */
export const NASTY_NAMES: readonly string[] = [
  ...new Set([PATHS, OURS, CASES, UNICODE, DEVICES, ESCAPES, OTHER, LONG].flat()),
];
