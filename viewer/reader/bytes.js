// Numbers and texts as bytes.

import { utf8ToBytes } from "@noble/hashes/utils.js";

export { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
export { equalBytes } from "@noble/ciphers/utils.js"; // in constant time

export const NOTHING = new Uint8Array(0);

/** Unsigned, 32 bits each, little-endian. */
export function u32(...numbers) {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, i) => view.setUint32(4 * i, number, true));
  return new Uint8Array(view.buffer);
}

/** Unsigned, big-endian, in `length` bytes. */
export function bigEndian(number, length) {
  return Uint8Array.from({ length }, (_, i) => Math.floor(number / 256 ** (length - 1 - i)) % 256);
}

export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodeUtf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

export function isText(bytes, ascii) {
  const expected = utf8ToBytes(ascii);
  return bytes.length === expected.length && bytes.every((byte, i) => byte === expected[i]);
}
