// The pixels of a lossless WebP file, in which a sealed image may be kept as well.

import { decodeWebpFile, dropAlpha, readVp8lSize } from "./codecs.js";
import { viewOf } from "./bytes.js";
import { NotSealed } from "./errors.js";

const MAX_BYTES = 1 << 28;
const OTHER = "The file is neither a PNG file nor a lossless WebP file.";

/** `{ height, width, channels, values }`; grey, which WebP has not, if all channels are equal. */
export async function decodeWebpPicture(blob) {
  if (blob.size > MAX_BYTES) throw new NotSealed(OTHER);
  const file = new Uint8Array(await blob.arrayBuffer());
  const size = readVp8lSize(findVp8l(file));
  if (!size) throw new NotSealed(OTHER);
  const values = dropAlpha(await decodeWebpFile(file), 3);
  const isGrey = values.every((value, i) => value === values[i - (i % 3)]);
  if (!isGrey) return { ...size, channels: 3, values };
  return { ...size, channels: 1, values: values.filter((_, i) => i % 3 === 0) };
}

/** The content of the chunk VP8L of a WebP file. */
function findVp8l(file) {
  const nameAt = (at) => String.fromCharCode(...file.subarray(at, at + 4));
  if (nameAt(0) !== "RIFF" || nameAt(8) !== "WEBP") throw new NotSealed(OTHER);
  for (let at = 12; at + 8 <= file.length; ) {
    const length = viewOf(file).getUint32(at + 4, true);
    if (nameAt(at) === "VP8L") return file.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  throw new NotSealed(OTHER);
}
