// The secret key of one who seals and opens: text form, id, and what is derived from it.

import { argon2idAsync } from "@noble/hashes/argon2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { NOTHING, bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "./bytes.js";
import { NotAKey } from "./errors.js";

/** `derive` of the format, for a key that is bytes. */
export function derive(key, purpose, context, length) {
  const info = concatBytes(utf8ToBytes(`ricsk/1/${purpose}\0`), context);
  return hkdf(sha256, key, undefined, info, length);
}

export class SecretKey {
  #bytes;
  #salt;

  constructor(bytes, salt = NOTHING) {
    this.#bytes = bytes;
    this.#salt = salt;
  }

  /** The 16 digits that headers of files name, without the salt of a passphrase. */
  get id() {
    const info = utf8ToBytes("ricsk/1 key id");
    return bytesToHex(hkdf(sha256, this.#bytes, undefined, info, 8));
  }

  get fullId() {
    return this.#salt.length ? `${this.id}.${bytesToHex(this.#salt)}` : this.id;
  }

  get checksum() {
    const parts = [utf8ToBytes("ricsk/1 checksum"), this.#bytes, this.#salt];
    return sha256(concatBytes(...parts)).subarray(0, 4);
  }

  derive(purpose, context, length) {
    return derive(this.#bytes, purpose, context, length);
  }
}

/** The key that a passphrase makes with the salt in the key's id, which was written down. */
export async function fromPassphrase(passphrase, keyId) {
  const [, id, salt] = /^([0-9a-f]{16})\.([0-9a-f]{32})$/.exec(keyId.trim()) ?? [];
  if (!salt) {
    throw new NotAKey(
      "The id of a passphrase's key has 16 digits, a dot and 32 digits. " +
        "It was shown when the key was made; without it the passphrase makes no key.",
    );
  }
  const cost = { t: 3, m: 65536, p: 4, dkLen: 32, version: 0x13 };
  const bytes = utf8ToBytes(passphrase.normalize("NFC"));
  const key = new SecretKey(await argon2idAsync(bytes, hexToBytes(salt), cost), hexToBytes(salt));
  if (key.id !== id) throw new NotAKey("The passphrase is not that of the key with this id.");
  return key;
}
