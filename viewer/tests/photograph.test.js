// Sealed photographs against the vectors, and what a file says before it is opened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "../reader/bytes.js";
import { NotSealed, WrongKey } from "../reader/errors.js";
import { readHeader } from "../reader/header.js";
import { readKey } from "../reader/key_text.js";
import { openSealed } from "../reader/photograph.js";
import { SecretKey } from "../reader/secret_key.js";
import { readVectors } from "./vectors.js";

const PHOTOGRAPH = readVectors("photograph");
const KEY = new SecretKey(hexToBytes(PHOTOGRAPH.key));

for (const { name, original, thumbnail, shape, photograph } of PHOTOGRAPH.photographs) {
  test(`the photograph ${name}`, async () => {
    const opened = await openSealed(new Blob([hexToBytes(photograph)]), KEY);
    const { height, width, channels, values } = opened.image;
    assert.equal(opened.found, "original");
    assert.equal(opened.name, name);
    assert.equal(bytesToHex(new Uint8Array(await opened.file.arrayBuffer())), original);
    assert.deepEqual([height, width, channels], shape);
    assert.equal(bytesToHex(values), thumbnail);
  });
}

test("a photograph says whose key it takes", async () => {
  const blob = new Blob([hexToBytes(PHOTOGRAPH.photographs[0].photograph)]);
  await assert.rejects(openSealed(blob, new SecretKey(new Uint8Array(32))), WrongKey);
  const pair = readVectors("recipients").key_pairs[0];
  await assert.rejects(openSealed(blob, readKey(pair.private_text)), /You gave a private key/);
});

test("progress is told in bytes of the file", async () => {
  const content = hexToBytes(PHOTOGRAPH.photographs[2].photograph);
  const told = [];
  const progress = (done, total) => told.push([done, total]);
  await openSealed(new Blob([content]), KEY, { progress });
  assert.ok(told.length && told.every(([done, total]) => done <= total && total === content.length));
});

const HEADER =
  '{"image_shape":[8,8,1],"key_id":null,"parameters":{"a":[1,-2.5e-07,{}],"b":"\\u00e9\\n"},' +
  '"ricsk":1,"scheme":"sealed","version":2}';
const read = (text) => readHeader(utf8ToBytes(text));

test("a canonical header is read", () => {
  assert.equal(read(HEADER).scheme, "sealed");
  assert.deepEqual(read(HEADER).image_shape, [8, 8, 1]);
  assert.equal(readHeader(null), null);
});

for (const [from, to] of [
  [':1', ": 1"],
  ['"ricsk":1', '"ricsk":1.0'],
  ['"ricsk":1', '"ricsk":01'],
  ['"ricsk":1', '"ricsk":true'],
  ['"ricsk":1', '"ricsk":1,"ricsk":1'],
  ['"a":', '"c":'],
  ["\\u00e9", "é"],
  ["\\u00e9", "\\u00E9"],
  ["\\n", "\\u000a"],
  ["[8,8,1]", "[8,8]"],
  ["[8,8,1]", "[8,0,1]"],
  ["null", '"c01603b67673821"'],
  ["null", '"C01603B676738217"'],
  ["}", ""],
  ['"version":2}', '"version":2}\n'],
  ['"version":2', '"version":2,"x":1'],
  ['{"a":[1,-2.5e-07,{}],"b":"\\u00e9\\n"}', "[]"],
]) {
  test(`a header with ${JSON.stringify(to)} is none`, () => {
    assert.ok(HEADER.includes(from));
    assert.throws(() => read(HEADER.replace(from, to)), NotSealed);
  });
}

test("a header that is no text is none", () => {
  assert.throws(() => readHeader(concatBytes(utf8ToBytes(HEADER), Uint8Array.of(0xff))), NotSealed);
});
