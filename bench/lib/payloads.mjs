/** The payloads of all contenders: a thousand different ones of incompressible bytes, repeated. */

export const GROUP = 1000;

/** Small, fast, and the same everywhere: xorshift32. Not for secrets. */
export function numbersFrom(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** @param {number} size @returns {Buffer[]} */
export function payloadsOf(size) {
  const next = numbersFrom(0x9e3779b9);
  return Array.from({ length: GROUP }, () => {
    const payload = Buffer.allocUnsafeSlow(size);
    for (let at = 0; at < size; at += 1) payload[at] = next() >>> 24;
    return payload;
  });
}

/** The same, of 100 B to 1 KiB each. @returns {Buffer[]} */
export function mixedPayloads() {
  const next = numbersFrom(0x7f4a7c15);
  return payloadsOf(1024).map((payload) => payload.subarray(0, 100 + (next() % 925)));
}

/** @param {number} count Records in the store. @param {number} length Numbers wanted. */
export function randomIndices(count, length) {
  const next = numbersFrom(0x2545f491);
  return Uint32Array.from({ length }, () => next() % count);
}
