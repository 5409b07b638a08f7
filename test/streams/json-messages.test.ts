/**
 * Goal: messages of JSON keep every byte of their values, whatever is around them.
 * Method: examples, and random values in random white space, split and joined and compared.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  isJsonType,
  joinJsonMessages,
  splitJsonMessages,
} from '../../src/streams/json-messages.js';

const split = (text: string): string[] =>
  splitJsonMessages(Buffer.from(text)).map((message) => Buffer.from(message).toString());

test('a value is a message, an array as many as it has elements', () => {
  expect(split('{"a":1}')).toEqual(['{"a":1}']);
  expect(split(' "text" \n')).toEqual(['"text"']);
  expect(split('[1, 2 ,\n3]')).toEqual(['1', '2', '3']);
  expect(split('[[1,2],[3]]')).toEqual(['[1,2]', '[3]']);
  expect(split(' [ ] ')).toEqual([]);
  expect(split('[[]]')).toEqual(['[]']);
  expect(split('null')).toEqual(['null']);
});

test('no byte of a value changes', () => {
  const values = [
    '1.0',
    '-0',
    '1e400',
    '123456789012345678901234567890',
    '{"a":1,"a":2}',
    '{ "b" : [ 1 , 2 ] }',
    '"\\u00e9\\/"',
    '"é,[]{}\\"\\\\"',
    '"\u2028"',
  ];
  expect(split(`[${values.join(' ,\t')}]`)).toEqual(values);
  for (const value of values) expect(split(value)).toEqual([value]);
});

test.each(['', ' ', '[', '[1,]', '[,1]', '{"a"}', '1 2', '[1]]', "'a'", '\ufeff1', 'NaN', '[1'])(
  'what is no JSON is refused: %j',
  (text) => {
    expect(() => splitJsonMessages(Buffer.from(text))).toThrow(SyntaxError);
  },
);

test('what is no UTF-8 is refused', () => {
  expect(() => splitJsonMessages(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(SyntaxError);
});

test('messages are joined as they are', () => {
  const join = (texts: string[]): string =>
    Buffer.from(joinJsonMessages(texts.map((text) => Buffer.from(text)))).toString();
  expect(join([])).toBe('[]');
  expect(join(['1.0', '{"a" : 1}'])).toBe('[1.0,{"a" : 1}]');
});

test('random values come back as they were', () => {
  const space = fc.constantFrom('', ' ', '\n', '\t\r ');
  const spaced = fc.tuple(fc.json({ maxDepth: 4 }), space, space);
  fc.assert(
    fc.property(fc.array(spaced, { minLength: 1, maxLength: 8 }), (values) => {
      const body = `[${values.map(([json, a, b]) => a + json + b).join(',')}]`;
      const messages = splitJsonMessages(Buffer.from(body));
      const texts = values.map(([json]) => json);
      expect(messages.map((each) => Buffer.from(each).toString())).toEqual(texts);
      expect(split(Buffer.from(joinJsonMessages(messages)).toString())).toEqual(texts);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('the type is JSON whatever its parameters', () => {
  expect(isJsonType('Application/JSON; charset=utf-8')).toBe(true);
  expect(isJsonType('application/jsonl')).toBe(false);
  expect(isJsonType('text/plain')).toBe(false);
});
