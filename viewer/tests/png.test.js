// Pixels of PNG files of every kind, written here by the words of the standard.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { bigEndian, concatBytes, utf8ToBytes } from "../reader/bytes.js";
import { crc32 } from "../reader/chunks.js";
import { NotSealed } from "../reader/errors.js";
import { decodePng, encodePng } from "../reader/png.js";

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const nearest = (a, b, c) => {
  const p = a + b - c;
  return [a, b, c].reduce((best, x) => (Math.abs(p - x) < Math.abs(p - best) ? x : best));
};
const FILTERS = [() => 0, (a) => a, (_, b) => b, (a, b) => Math.floor((a + b) / 2), nearest];
const PASSES = ["1 6 4 6 2 6 4 6", "7 7 7 7 7 7 7 7", "5 6 5 6 5 6 5 6", "7 7 7 7 7 7 7 7",
  "3 6 4 6 3 6 4 6", "7 7 7 7 7 7 7 7", "5 6 5 6 5 6 5 6", "7 7 7 7 7 7 7 7"]
  .map((row) => row.split(" ").map(Number));

const chunk = (name, content) => {
  const body = concatBytes(utf8ToBytes(name), content);
  return concatBytes(bigEndian(content.length, 4), body, bigEndian(crc32(body), 4));
};

/** Rows of samples as bytes, with a filter each, in turn. */
function filterRows(rows, depth, step) {
  const packed = rows.map((row) => {
    const bits = row.map((sample) => sample.toString(2).padStart(depth, "0")).join("");
    return (bits.match(/.{1,8}/g) ?? []).map((byte) => parseInt(byte.padEnd(8, "0"), 2));
  });
  return packed.flatMap((row, y) => {
    const at = (line, i) => packed[line]?.[i] ?? 0;
    const filtered = row.map(
      (byte, x) => (byte - FILTERS[y % 5](at(y, x - step), at(y - 1, x), at(y - 1, x - step))) & 255,
    );
    return [y % 5, ...filtered];
  });
}

/** A file of `samples`, rows of pixels, each a list. */
function write(samples, { depth, colourType, palette, interlaced = false }) {
  const passes = interlaced
    ? [1, 2, 3, 4, 5, 6, 7].map((pass) =>
        samples
          .map((row, y) => row.filter((_, x) => PASSES[y % 8][x % 8] === pass))
          .filter((row) => row.length),
      )
    : [samples];
  const step = Math.ceil((samples[0][0].length * depth) / 8);
  const raw = passes.flatMap((rows) => filterRows(rows.map((row) => row.flat()), depth, step));
  const size = [bigEndian(samples[0].length, 4), bigEndian(samples.length, 4)];
  const ihdr = concatBytes(...size, Uint8Array.of(depth, colourType, 0, 0, Number(interlaced)));
  const plte = palette ? chunk("PLTE", Uint8Array.from(palette.flat())) : new Uint8Array(0);
  const idat = chunk("IDAT", new Uint8Array(deflateSync(Uint8Array.from(raw))));
  return new Blob([SIGNATURE, chunk("IHDR", ihdr), plte, idat, chunk("IEND", new Uint8Array(0))]);
}

/** Samples that look like no pattern, below `levels`. */
function makeSamples(height, width, samples, levels) {
  let state = 1;
  const next = () => (state = (state * 48271) % 2147483647) % levels;
  const list = (length, make) => Array.from({ length }, make);
  return list(height, () => list(width, () => list(samples, next)));
}

const KINDS = [
  ...[1, 2, 4, 8].map((depth) => ["grey", depth, 0, 1, ([level]) => [(level * 255) / (2 ** depth - 1)]]),
  ["colour", 8, 2, 3, (pixel) => pixel],
  ...[1, 2, 4, 8].map((depth) => ["palette", depth, 3, 1, ([i]) => [i, 255 - i, (7 * i) % 256]]),
  ["grey with alpha", 8, 4, 2, ([level]) => [level]],
  ["colour with alpha", 8, 6, 4, (pixel) => pixel.slice(0, 3)],
];

for (const [name, depth, colourType, nSamples, toPixel] of KINDS) {
  for (const interlaced of [false, true]) {
    for (const [height, width] of [[11, 13], [1, 1], [3, 2]]) {
      const title = `${name}, ${depth} bits, ${height}×${width}${interlaced ? ", interlaced" : ""}`;
      test(title, async () => {
        const samples = makeSamples(height, width, nSamples, 2 ** depth);
        const palette = colourType === 3 ? Array.from({ length: 2 ** depth }, (_, i) => toPixel([i])) : null;
        const decoded = await decodePng(write(samples, { depth, colourType, palette, interlaced }));
        assert.deepEqual([decoded.height, decoded.width], [height, width]);
        assert.deepEqual([...decoded.values], samples.flat().map(toPixel).flat());
      });
    }
  }
}

test("what is written is read again", async () => {
  for (const channels of [1, 3]) {
    const values = Uint8Array.from({ length: 35 * channels }, (_, i) => 7 * i);
    const image = { height: 5, width: 7, channels, values };
    assert.deepEqual(await decodePng(await encodePng(image)), image);
  }
});

for (const [what, samples, options] of [
  ["16 bits", makeSamples(2, 2, 1, 65536), { depth: 16, colourType: 0 }],
  ["a palette that is too short", [[[3]]], { depth: 8, colourType: 3, palette: [[0, 0, 0]] }],
  ["no palette", [[[3]]], { depth: 8, colourType: 3 }],
  ["another colour type", [[[3]]], { depth: 8, colourType: 1 }],
  ["another depth", makeSamples(2, 2, 3, 16), { depth: 4, colourType: 2 }],
]) {
  test(`${what} is refused`, async () => {
    await assert.rejects(decodePng(write(samples, options)), NotSealed);
  });
}
