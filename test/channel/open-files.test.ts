/**
 * Goal: room that is made for a caller who cannot wait is that caller's, not of those who wait.
 * Method: a holder that can be closed once it is synced, and says so amid the making of room.
 */
import { expect, test } from 'vitest';
import { OpenFiles, type FileHolder } from '../../src/fs/open-files.js';

test('whoever waits is not let on while room is made for somebody else', () => {
  const files = new OpenFiles(4);
  let isSynced = false;
  const holder: FileHolder = {
    fileCount: 4,
    used: false,
    tryClose: () => {
      if (isSynced) files.removed(holder);
      return isSynced;
    },
    settle: () => false,
    settleNow: () => {
      isSynced = true;
      files.onMayClose();
    },
  };
  files.added(holder);
  let proceeded = 0;
  files.whenRoom(4, () => (proceeded += 1));
  files.makeRoomNow(4);
  expect([files.count, proceeded]).toEqual([0, 0]);
  files.onMayClose();
  expect(proceeded).toBe(1);
});
