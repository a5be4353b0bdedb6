// The vectors of the formats, which all readers and writers share.

import { readFileSync } from "node:fs";
import { hexToBytes } from "../reader/bytes.js";

export function readVectors(name) {
  return JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url)));
}

/** Values 0, 1, 2, ... modulo 256, of an image of `shape`: the plain image of the vectors. */
export function plainImage([height, width, channels]) {
  const values = Uint8Array.from({ length: height * width * channels }, (_, i) => i);
  return { height, width, channels, values };
}

/** The sealed image of a vector. */
export function sealedImage({ shape: [height, width, channels], scale, ciphertext }) {
  const values = hexToBytes(ciphertext);
  return { height: height * scale, width: width * scale, channels, values };
}
