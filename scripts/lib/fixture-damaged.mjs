/**
 * The damaged fixtures. What has to be found is said here and not asked of the engine: which error,
 * in which file, from which byte on, and which records it costs.
 */
import { byName } from './fixture-machine.mjs';
import {
  CLEAN,
  closedStore,
  CONFIG,
  fileOf,
  GENERATION,
  killedStore,
  MANIFEST,
  OTHER,
  PER_SEGMENT,
} from './fixture-damage.mjs';

const OTHER_GENERATION = `${OTHER}/v0000000001`;

/** A fixture of the closed store: its description, and what is done to it. */
const closed = (description, damage, work) => async (seed) => {
  const store = await closedStore(seed, work);
  damage(store);
  return store.result(description);
};

const killed = (description, damage) => async (seed) => {
  const store = await killedStore(seed);
  damage(store);
  return store.result(description);
};

/** Marks the structure as one of version 2; the checksum is not looked at then. */
const makeNewer = (store, path) =>
  store.edit(path, (bytes) => {
    bytes[4] = 2;
  });

const PAYLOADS = {
  'payload-flipped': closed('A flipped bit in a payload of a finished segment.', (store) => {
    const { at } = store.frame(8);
    store.flip(fileOf(6), at + 90);
    store.lose(8, 9, fileOf(6), at, 'checksum');
    store.verifyLoss('frame', 3);
  }),
  'block-zeroed': closed('512 bytes of zeros in the middle of a finished segment.', (store) => {
    const { at } = store.frame(8);
    store.edit(fileOf(6), (bytes) => bytes.fill(0, 512, 1024));
    store.lose(8, 12, fileOf(6), at, 'checksum');
    store.verifyLoss('frame', 0);
  }),
  'segment-truncated': closed('A finished segment without its second half.', (store) => {
    const { at } = store.frame(9);
    store.cut(fileOf(6), at + 50);
    store.lose(9, 12, fileOf(6), at, 'length');
    store.verifyLoss('frame', 0);
  }),
  'last-truncated': closed('The last segment is shorter than the clean mark says.', (store) => {
    const { at } = store.frame(21);
    store.cut(fileOf(18), at + 50);
    store.lose(21, 24, fileOf(18), at, 'length');
    store.verifyLoss('frame', 0);
    store.stopAppends();
  }),
  'seal-flipped': closed('A flipped bit in the seal of a finished segment.', (store) => {
    const { at } = store.units(6).at(-1);
    store.flip(fileOf(6), at + 40);
    store.problem('damage', 'seal', fileOf(6), at, 'checksum', { recordsBehind: 0 });
  }),
  'suffix-damaged': killed('Damage below what a later frame says was synced.', (store) => {
    const { at } = store.frame(14);
    store.flip(fileOf(12), at + 90);
    store.lose(14, 17, fileOf(12), at, 'checksum');
    store.verifyLoss('frame', 5);
    store.stopAppends();
    // What was not known to be synced is not taken into a damaged log.
    store.expected.nextSeq = 17;
  }),
};

const HEADERS = {
  'header-flipped': closed('A flipped bit in the header of a finished segment.', (store) => {
    store.flip(fileOf(6), 40);
    // Nothing is lost: idx and ts say who the segment is.
    store.problem('damage', 'header', fileOf(6), 0, 'checksum', { recordsBehind: 6 });
  }),
  'header-alone': closed('A flipped bit in a header, and neither idx nor ts.', (store) => {
    store.flip(fileOf(6), 40);
    store.remove(fileOf(6, 'idx'), fileOf(6, 'ts'));
    store.lose(6, 12, fileOf(6), 0, 'checksum');
    store.verifyLoss('header', 6);
  }),
  'last-header-flipped': closed('A flipped bit in the header of the last segment.', (store) => {
    store.flip(fileOf(18), 40);
    store.lose(18, 24, fileOf(18), 0, 'checksum');
    store.verifyLoss('header', 6);
    store.stopAppends();
  }),
  'header-newer': closed('A finished segment of a version that is not known.', (store) => {
    makeNewer(store, fileOf(6));
    store.refuseVersion(fileOf(6));
  }),
  'segments-swapped': closed('Two dat files under each other’s name.', (store) => {
    const six = store.bytes(fileOf(6));
    store.copy(fileOf(12), fileOf(6));
    store.files.set(fileOf(12), six);
    store.lose(6, 12, fileOf(6), 0, 'identity');
    store.verifyLoss('header', 6);
    store.lose(12, 18, fileOf(12), 0, 'identity');
    store.verifyLoss('header', 6);
  }),
  'segment-foreign': closed('The dat file of another channel.', (store) => {
    store.copy(fileOf(6, 'dat', OTHER_GENERATION), fileOf(6));
    store.lose(6, 12, fileOf(6), 0, 'identity');
    store.verifyLoss('header', 6);
  }),
};

/**
 * A segment that is not there. Who reads is told where the log breaks off, at the end of the
 * segment before it; a verification names the file.
 */
function loseMissing(store, base) {
  const before = fileOf(base - PER_SEGMENT);
  store.lose(base, base + PER_SEGMENT, before, store.bytes(before).length, 'missing');
  store.verifyLoss('missing-segment', undefined, { path: fileOf(base), position: 0 });
}

const MISSING = {
  'segment-missing': closed('A segment in the middle is not there.', (store) => {
    store.remove(fileOf(6), fileOf(6, 'idx'), fileOf(6, 'ts'));
    loseMissing(store, 6);
  }),
  'dat-missing': closed('Of a segment in the middle only idx and ts are there.', (store) => {
    store.remove(fileOf(6));
    loseMissing(store, 6);
    for (const kind of ['idx', 'ts']) store.problem('note', 'leftover', fileOf(6, kind), 0);
  }),
  'head-missing': closed('The first segment is not there, and nobody trimmed.', (store) => {
    store.remove(fileOf(0), fileOf(0, 'idx'), fileOf(0, 'ts'));
    store.lose(0, 6, fileOf(6), 0, 'missing');
    store.verifyLoss('missing-segment', undefined, { path: fileOf(0) });
  }),
  'last-missing': closed('The last segment is not there.', (store) => {
    store.remove(fileOf(18), fileOf(18, 'idx'), fileOf(18, 'ts'));
    loseMissing(store, 18);
    store.stopAppends();
  }),
  'generation-missing': closed('The manifest names a generation that is not there.', (store) => {
    store.remove(...[...store.files.keys()].filter((path) => path.startsWith(GENERATION)));
    store.refuse(GENERATION, 0, 'missing');
  }),
};

const MANIFESTS = {
  'manifest-missing': closed('No manifest.', (store) => {
    store.remove(MANIFEST);
    store.refuse(MANIFEST, 0, 'missing');
  }),
  'manifest-torn': closed('A manifest of 40 bytes.', (store) => {
    store.cut(MANIFEST, 40);
    store.refuse(MANIFEST, 0, 'length');
  }),
  'manifest-zeros': closed('A manifest of zeros.', (store) => {
    store.edit(MANIFEST, (bytes) => bytes.fill(0));
    store.refuse(MANIFEST, 0, 'magic');
  }),
  'manifest-flipped': closed('A flipped bit in the manifest.', (store) => {
    store.flip(MANIFEST, 32);
    store.refuse(MANIFEST, 0, 'checksum');
  }),
  'manifest-foreign': closed('The manifest of another channel.', (store) => {
    store.copy(`${OTHER}/manifest`, MANIFEST);
    store.refuse(MANIFEST, 8, 'identity');
  }),
  'manifest-newer': closed('A manifest of a version that is not known.', (store) => {
    makeNewer(store, MANIFEST);
    store.refuseVersion(MANIFEST);
  }),
};

const CONFIGS = {
  'config-missing': closed('No config.', (store) => {
    store.remove(CONFIG);
    store.refuse(CONFIG, 0, 'missing');
  }),
  'config-flipped': closed('A flipped bit in the config.', (store) => {
    store.flip(CONFIG, 40);
    store.refuse(CONFIG, 0, 'checksum');
  }),
  'config-foreign': closed('The config of another channel.', (store) => {
    store.copy(`${OTHER}/config`, CONFIG);
    store.refuse(CONFIG, 24, 'identity');
  }),
  'config-newer': closed('A config of a version that is not known.', (store) => {
    makeNewer(store, CONFIG);
    store.refuseVersion(CONFIG);
  }),
};

const STORES = {
  'store-missing': closed('No redex.json beside the channels.', (store) => {
    store.remove('redex.json');
    store.store = { code: 'CORRUPT', path: 'redex.json', position: 0, check: 'missing' };
  }),
  'store-flipped': closed('A changed digit in redex.json.', (store) => {
    store.edit('redex.json', (bytes) => {
      const at = bytes.indexOf('storeId') + 'storeId": "'.length;
      bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30;
    });
    store.store = { code: 'CORRUPT', path: 'redex.json', position: 0, check: 'checksum' };
  }),
  'store-newer': closed('A redex.json of a version that is not known.', (store) => {
    const text = store.bytes('redex.json').toString('utf8');
    store.edit('redex.json', (bytes) =>
      Buffer.from(bytes.toString('utf8').replace('"formatVersion": 1', '"formatVersion": 2')),
    );
    if (text === store.bytes('redex.json').toString('utf8')) throw new Error('no version');
    store.store = { code: 'FORMAT_VERSION', path: 'redex.json', found: 2, supported: 1 };
  }),
};

const FOLD = {
  name: 'bytes',
  version: 2,
  initial: { bytes: 0, records: 0 },
  apply: ({ bytes, records }, { byteLength }) => ({
    bytes: bytes + byteLength,
    records: records + 1,
  }),
};

/** Two checkpoints: after record 23, and after two more. */
async function withCheckpoints(channel, machine) {
  const fold = await channel.fold(FOLD);
  await fold.caughtUp();
  await fold.checkpoint();
  await machine.account('orders').fill(channel, 2, 100);
  await fold.caughtUp();
  await fold.checkpoint();
}

const checkpointsIn = (store) =>
  [...store.files.keys()].filter((path) => path.includes('/checkpoints/')).toSorted(byName);

const HARMLESS = {
  'derived-damaged': closed('idx and ts flipped, missing, of other segments.', (store) => {
    store.flip(fileOf(0, 'idx'), 64 + 16 + 4);
    store.remove(fileOf(0, 'ts'));
    store.remove(fileOf(6, 'idx'));
    store.copy(fileOf(12, 'ts'), fileOf(6, 'ts'));
    store.copy(fileOf(6, 'ts'), fileOf(18, 'ts'));
    store.copy(fileOf(18, 'idx'), fileOf(12, 'idx'));
    store.flip(fileOf(12, 'ts'), 64 + 8 + 2);
    const wrong = (kind, base, position, check) =>
      store.problem('derived', kind, fileOf(base, kind), position, check);
    wrong('idx', 0, 64 + 16, 'fields');
    wrong('ts', 0, 0, 'missing');
    wrong('idx', 6, 0, 'missing');
    wrong('ts', 6, 0, 'identity');
    wrong('idx', 12, 0, 'identity');
    wrong('ts', 12, 64 + 8, 'fields');
    wrong('ts', 18, 0, 'identity');
  }),
  'clean-mark-damaged': closed('Flipped bits in both slots of the clean mark.', (store) => {
    store.flip(CLEAN, 60);
    store.flip(CLEAN, 512 + 60);
    // The first one was never written.
    store.problem('note', 'clean-mark', CLEAN, 0, 'magic');
    store.problem('note', 'clean-mark', CLEAN, 512, 'checksum');
  }),
  'clean-mark-foreign': closed('The clean mark of another channel.', (store) => {
    store.copy(`${OTHER}/clean`, CLEAN);
    store.problem('note', 'clean-mark', CLEAN, 512, 'identity');
  }),
  'clean-mark-missing': closed('No clean mark.', (store) => store.remove(CLEAN)),
  'checkpoint-state-flipped': closed(
    'A flipped bit in the state of the newest checkpoint.',
    (store) => {
      const path = checkpointsIn(store).at(-1);
      store.flip(path, store.bytes(path).length - 1);
      // Behind the header, in which the name has 5 bytes.
      store.problem('damage', 'checkpoint', path, 72 + 5 + 8, 'checksum');
      store.expected.folds = [foldOf(store)];
    },
    withCheckpoints,
  ),
  'checkpoints-damaged': closed(
    'Flipped bits in the headers of all checkpoints.',
    (store) => {
      for (const path of checkpointsIn(store)) {
        store.flip(path, 30);
        store.problem('damage', 'checkpoint', path, 0, 'checksum');
      }
      store.expected.folds = [foldOf(store)];
    },
    withCheckpoints,
  ),
};

const foldOf = (store) => {
  const { length } = store.account.records;
  return {
    name: 'bytes',
    version: 2,
    value: { bytes: length * 100, records: length },
    seq: length,
  };
};

const BELOW_CHECKPOINT = {
  'below-checkpoint': closed(
    'A log that ends below what a good checkpoint has seen.',
    (store) => {
      const { at } = store.frame(22);
      store.cut(fileOf(18), at);
      store.remove(CLEAN);
      store.lose(22, 26, fileOf(18), at, 'missing');
      store.verifyLoss('frame', 0);
      store.stopAppends();
    },
    withCheckpoints,
  ),
};

export const DAMAGED = {
  ...PAYLOADS,
  ...HEADERS,
  ...MISSING,
  ...MANIFESTS,
  ...CONFIGS,
  ...STORES,
  ...HARMLESS,
  ...BELOW_CHECKPOINT,
};
