// The construction STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015): segments of 64 KiB,
// each encrypted with ChaCha20-Poly1305 under its number and whether it is the last.

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { NOTHING, bigEndian, concatBytes } from "./bytes.js";
import { NotSealed } from "./errors.js";

const TAG = 16;
const SEGMENT = 65536 + TAG;

/** Decrypt pieces of ciphertext. Every segment that is given is authentic. */
export async function* decryptSegments(key, pieces) {
  let number = 0;
  let rest = NOTHING;
  for await (const piece of pieces) {
    rest = concatBytes(rest, piece);
    while (rest.length > SEGMENT) {
      yield decrypt(key, number, false, rest.subarray(0, SEGMENT));
      rest = rest.subarray(SEGMENT);
      number += 1;
    }
  }
  if (number && rest.length === TAG) throw new NotSealed();
  yield decrypt(key, number, true, rest);
}

function decrypt(key, number, isLast, segment) {
  const nonce = concatBytes(bigEndian(number, 11), Uint8Array.of(Number(isLast)));
  try {
    return chacha20poly1305(key, nonce).decrypt(segment);
  } catch {
    throw new NotSealed();
  }
}
