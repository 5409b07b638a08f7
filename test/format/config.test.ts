/** Goal: a config keeps any JSON object, and nothing else passes for one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import {
  CONFIG_MAGIC,
  decodeConfig,
  encodeConfig,
  MAX_CONFIG_BYTES,
} from '../../src/format/config.js';
import { writeEnvelope } from '../../src/format/envelope.js';
import { channelIds, valueOf } from '../support/format-arbitraries.js';

const channelId = new Uint8Array(16).fill(7);

/** A config around these bytes, with a good checksum. */
function around(text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(32 + text.byteLength);
  bytes.set(channelId, 8);
  bytes.set(text, 24);
  writeEnvelope(bytes, CONFIG_MAGIC);
  return bytes;
}

const jsonObjects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 5 });

describe('a config', () => {
  test('keeps its id and its JSON', () => {
    fc.assert(
      fc.property(channelIds, jsonObjects, (id, body) => {
        const config = valueOf(decodeConfig(encodeConfig({ channelId: id, body })));
        expect(config.channelId).toEqual(id);
        expect(JSON.stringify(config.body)).toBe(JSON.stringify(body));
      }),
    );
  });

  test('of the largest size is read, its length field being too small for it', () => {
    const body = { name: 'x'.repeat(MAX_CONFIG_BYTES - 32 - '{"name":""}'.length) };
    const bytes = encodeConfig({ channelId, body });
    expect(bytes.byteLength).toBe(MAX_CONFIG_BYTES);
    expect(viewOf(bytes).getUint16(6, true)).toBe(0);
    expect(valueOf(decodeConfig(bytes)).body).toEqual(body);
  });

  test.each(['', '1', 'null', '[]', '"a"', '{', '{}{}', "{'a':1}", '{"a":1,}'])(
    '%j is refused',
    (text) => {
      expect(decodeConfig(around(Buffer.from(text)))).toEqual({ ok: false, check: 'fields' });
    },
  );

  test('what is not UTF-8 is refused, not repaired', () => {
    const invalid = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(decodeConfig(around(invalid))).toEqual({ ok: false, check: 'fields' });
  });

  test('without room for an id is refused', () => {
    for (let length = 16; length < 32; length++) {
      const bytes = new Uint8Array(length);
      writeEnvelope(bytes, CONFIG_MAGIC);
      expect(decodeConfig(bytes)).toEqual({ ok: false, check: 'length' });
    }
  });

  test('a key cannot reach the prototype of what is returned', () => {
    const { body } = valueOf(decodeConfig(around(Buffer.from('{"__proto__":{"a":1}}'))));
    expect(Object.keys(body)).toEqual(['__proto__']);
    expect(body['a']).toBeUndefined();
  });
});
