// AES-SIV (RFC 5297) with one piece of associated data.

import { aessiv } from "@noble/ciphers/aes.js";
import { NotSealed } from "./errors.js";

export function decryptSiv(key, context, encrypted) {
  try {
    return aessiv(key, context).decrypt(encrypted);
  } catch {
    throw new NotSealed();
  }
}
