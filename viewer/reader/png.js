// The pixels of a PNG file, exactly: no colour management, and no picture larger than it says.

import { bigEndian, concatBytes, utf8ToBytes } from "./bytes.js";
import { crc32 } from "./chunks.js";
import { NotSealed } from "./errors.js";
import { readStructure } from "./png_structure.js";

const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;
const RGB_ALPHA = 6;
const DEPTHS = {
  [GREY]: [1, 2, 4, 8],
  [RGB]: [8],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8],
  [RGB_ALPHA]: [8],
};
const SAMPLES = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGB_ALPHA]: 4 };
const WHOLE = [[0, 0, 1, 1]];
/** Of each pass: first column and row, and steps. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

export async function decodePng(blob) {
  return decodePixels(await readStructure(blob));
}

/** `{ height, width, channels, values }`, with 8 bits each, grey or RGB; transparency is dropped. */
export async function decodePixels({ ihdr, palette, idat }) {
  const { width, height, bitDepth, colourType, interlaced } = ihdr;
  refuseOtherPixels(ihdr, palette);
  const channels = colourType === GREY || colourType === GREY_ALPHA ? 1 : 3;
  const samples = SAMPLES[colourType];
  const passes = (interlaced ? ADAM7 : WHOLE)
    .map(([x, y, dx, dy]) => {
      const size = { columns: Math.ceil((width - x) / dx), rows: Math.ceil((height - y) / dy) };
      return { x, y, dx, dy, ...size, rowBytes: Math.ceil((size.columns * samples * bitDepth) / 8) };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
  const expected = passes.reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0);
  const raw = await inflate(idat, expected);

  const values = new Uint8Array(width * height * channels);
  let start = 0;
  for (const pass of passes) {
    const end = start + pass.rows * (1 + pass.rowBytes);
    const rows = unfilter(raw.subarray(start, end), pass, Math.ceil((samples * bitDepth) / 8));
    place(rows, pass, values, { width, channels, samples, bitDepth, palette, colourType });
    start = end;
  }
  return { height, width, channels, values };
}

function refuseOtherPixels({ bitDepth, colourType }, palette) {
  if (bitDepth === 16) throw new NotSealed("The picture has 16-bit channels; a sealed one has 8.");
  if (!DEPTHS[colourType]?.includes(bitDepth)) throw new NotSealed();
  if (colourType === PALETTE && !palette) throw new NotSealed();
}

async function inflate(blob, length) {
  const bytes = new Uint8Array(length);
  let filled = 0;
  try {
    const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (filled + next.value.length > length) {
        await reader.cancel();
        throw new NotSealed();
      }
      bytes.set(next.value, filled);
      filled += next.value.length;
    }
  } catch {
    throw new NotSealed();
  }
  if (filled !== length) throw new NotSealed();
  return bytes;
}

/** Undo the filters of rows (PNG, section 9); `step` is the distance to the pixel to the left. */
function unfilter(raw, { rows, rowBytes }, step) {
  const out = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row += 1) {
    const filter = raw[row * (rowBytes + 1)];
    if (filter > 4) throw new NotSealed();
    const from = row * (rowBytes + 1) + 1;
    const to = row * rowBytes;
    for (let i = 0; i < rowBytes; i += 1) {
      const left = i >= step ? out[to + i - step] : 0;
      const up = row ? out[to + i - rowBytes] : 0;
      const upLeft = row && i >= step ? out[to + i - rowBytes - step] : 0;
      out[to + i] = raw[from + i] + predict(filter, left, up, upLeft);
    }
  }
  return out;
}

function predict(filter, left, up, upLeft) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const [dLeft, dUp] = [Math.abs(up - upLeft), Math.abs(left - upLeft)];
  const dUpLeft = Math.abs(left + up - 2 * upLeft);
  if (dLeft <= dUp && dLeft <= dUpLeft) return left;
  return dUp <= dUpLeft ? up : upLeft;
}

/** Write the samples of a pass to where they belong. */
function place(rows, pass, values, { width, channels, samples, bitDepth, palette, colourType }) {
  const levels = 2 ** bitDepth - 1;
  for (let row = 0; row < pass.rows; row += 1) {
    for (let column = 0; column < pass.columns; column += 1) {
      const at = ((pass.y + row * pass.dy) * width + pass.x + column * pass.dx) * channels;
      for (let channel = 0; channel < channels; channel += 1) {
        const bit = (column * samples + Math.min(channel, samples - 1)) * bitDepth;
        const byte = rows[row * pass.rowBytes + (bit >> 3)];
        const sample = (byte >> (8 - bitDepth - (bit & 7))) & levels;
        if (colourType !== PALETTE) values[at + channel] = (sample * 255) / levels;
        else if (3 * sample + channel < palette.length) values[at + channel] = palette[3 * sample + channel];
        else throw new NotSealed();
      }
    }
  }
}

/** A PNG file with just these values. */
export async function encodePng({ height, width, channels, values }) {
  const rowBytes = width * channels;
  const raw = new Uint8Array(height * (rowBytes + 1));
  for (let row = 0; row < height; row += 1) {
    const from = row * rowBytes;
    raw.set(values.subarray(from, from + rowBytes), row * (rowBytes + 1) + 1);
  }
  const deflated = new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate"));
  const colourType = channels === 1 ? GREY : RGB;
  const rest = Uint8Array.of(8, colourType, 0, 0, 0);
  const ihdr = concatBytes(bigEndian(width, 4), bigEndian(height, 4), rest);
  return new Blob(
    [
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
      chunk("IHDR", ihdr),
      chunk("IDAT", new Uint8Array(await new Response(deflated).arrayBuffer())),
      chunk("IEND", new Uint8Array(0)),
    ],
    { type: "image/png" },
  );
}

function chunk(name, content) {
  const body = concatBytes(utf8ToBytes(name), content);
  return concatBytes(bigEndian(content.length, 4), body, bigEndian(crc32(body), 4));
}
