// The chunks of a PNG file, one after the other, with their check sums.

import { BlobReader } from "./blob_reader.js";
import { concatBytes, viewOf } from "./bytes.js";
import { NotSealed } from "./errors.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PIECE = 1 << 20;

export async function isPng(blob) {
  const start = new Uint8Array(await blob.slice(0, 8).arrayBuffer());
  return start.length === 8 && SIGNATURE.every((byte, i) => start[i] === byte);
}

export class Chunks {
  #reader;
  #left = 0; // bytes of the chunk that have not been read
  #crc;

  constructor(blob) {
    this.#reader = new BlobReader(blob);
  }

  get position() {
    return this.#reader.position;
  }

  get atEnd() {
    return this.#reader.atEnd;
  }

  /** Go to the next chunk, and past what is left of this one. */
  async next() {
    if (this.#reader.position === 0) await this.#reader.take(SIGNATURE.length);
    else await this.#finish();
    const head = await this.#reader.take(8);
    this.#left = viewOf(head).getUint32(0);
    this.name = String.fromCharCode(...head.subarray(4));
    if (!/^[A-Za-z]{4}$/.test(this.name) || this.#left > 0x7fffffff) throw new NotSealed();
    this.#crc = updateCrc(0xffffffff, head.subarray(4));
  }

  get length() {
    return this.#left;
  }

  /** The content, which is not longer than `limit`. */
  async content(limit) {
    if (this.#left > limit) throw new NotSealed();
    const pieces = [];
    for await (const piece of this.pieces()) pieces.push(piece.slice());
    return concatBytes(...pieces);
  }

  /** The content in pieces, before its check sum is known. */
  async *pieces() {
    while (this.#left) {
      const piece = await this.#reader.take(Math.min(this.#left, PIECE));
      this.#crc = updateCrc(this.#crc, piece);
      this.#left -= piece.length;
      yield piece;
    }
    await this.#finish();
  }

  async #finish() {
    if (this.#crc === undefined) return;
    while (this.#left) {
      const piece = await this.#reader.take(Math.min(this.#left, PIECE));
      this.#crc = updateCrc(this.#crc, piece);
      this.#left -= piece.length;
    }
    const expected = viewOf(await this.#reader.take(4)).getUint32(0);
    if ((this.#crc ^ 0xffffffff) >>> 0 !== expected) throw new NotSealed("A check sum is wrong.");
    this.#crc = undefined;
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 as PNG has it, before the last inversion. */
function updateCrc(crc, bytes) {
  let value = crc;
  for (let i = 0; i < bytes.length; i += 1) value = TABLE[(value ^ bytes[i]) & 255] ^ (value >>> 8);
  return value;
}

export function crc32(bytes) {
  return (updateCrc(0xffffffff, bytes) ^ 0xffffffff) >>> 0;
}
