// Contexts: what a stream or sub-key is for, written so that no two values have the same bytes.

import { NOTHING, concatBytes, utf8ToBytes } from "./bytes.js";

/** `settings` maps names to null, booleans, whole numbers, texts, bytes, or lists of these. */
export function encodeContext(scheme, version, settings) {
  const names = Object.keys(settings).sort(compareCodePoints);
  return encode([scheme, version, names.map((name) => [name, settings[name]])]);
}

function encode(value) {
  if (value === null) return item("N", NOTHING);
  if (typeof value === "boolean") return item("B", Uint8Array.of(Number(value)));
  if (Number.isSafeInteger(value)) return item("I", integer(BigInt(value)));
  if (typeof value === "string") return item("S", utf8ToBytes(value));
  if (value instanceof Uint8Array) return item("Y", value);
  if (Array.isArray(value)) return item("T", concatBytes(...value.map(encode)));
  throw new TypeError("a context has no values of this type");
}

function item(type, content) {
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(content.length), true);
  return concatBytes(utf8ToBytes(type), new Uint8Array(length.buffer), content);
}

/** Two's complement, little-endian. */
function integer(number) {
  const magnitude = number < 0n ? -number : number;
  const bits = magnitude === 0n ? 0 : magnitude.toString(2).length;
  const length = Math.floor(bits / 8) + 1;
  const bytes = BigInt.asUintN(8 * length, number);
  return Uint8Array.from({ length }, (_, i) => Number((bytes >> BigInt(8 * i)) & 255n));
}

/** JavaScript compares halves of surrogate pairs; the format compares characters. */
export function compareCodePoints(a, b) {
  const [x, y] = [Array.from(a), Array.from(b)].map((c) => c.map((s) => s.codePointAt(0)));
  const i = x.findIndex((point, j) => point !== y[j]);
  return i === -1 ? x.length - y.length : x[i] - (y[i] ?? -1);
}
