// Hybrid public key encryption (RFC 9180), the receiving side of base mode, for one message.
// KDF is HKDF-SHA256 and AEAD is ChaCha20-Poly1305.

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { NOTHING, bigEndian, concatBytes, utf8ToBytes } from "./bytes.js";

const KDF = 0x0001;
const AEAD = 0x0003;

/** Decapsulation of DHKEM(X25519, HKDF-SHA256), section 4.1. */
export function dhkem(encapsulated, privateKey, publicKey) {
  const suite = concatBytes(utf8ToBytes("KEM"), bigEndian(0x0020, 2));
  const shared = x25519.getSharedSecret(privateKey, encapsulated);
  const prk = labeledExtract(suite, NOTHING, "eae_prk", shared);
  const context = concatBytes(encapsulated, publicKey);
  return labeledExpand(suite, prk, "shared_secret", context, 32);
}

/** Sections 5.1 and 5.2: key schedule without a pre-shared key, and the first message. */
export function openBase(kem, sharedSecret, info, ciphertext) {
  const numbers = [kem, KDF, AEAD].map((id) => bigEndian(id, 2));
  const suite = concatBytes(utf8ToBytes("HPKE"), ...numbers);
  const pskIdHash = labeledExtract(suite, NOTHING, "psk_id_hash", NOTHING);
  const infoHash = labeledExtract(suite, NOTHING, "info_hash", info);
  const context = concatBytes(Uint8Array.of(0), pskIdHash, infoHash);
  const secret = labeledExtract(suite, sharedSecret, "secret", NOTHING);
  const key = labeledExpand(suite, secret, "key", context, 32);
  const nonce = labeledExpand(suite, secret, "base_nonce", context, 12);
  return chacha20poly1305(key, nonce).decrypt(ciphertext);
}

function labeledExtract(suite, salt, label, secret) {
  const labeled = concatBytes(utf8ToBytes("HPKE-v1"), suite, utf8ToBytes(label), secret);
  return extract(sha256, labeled, salt);
}

function labeledExpand(suite, prk, label, info, length) {
  const size = bigEndian(length, 2);
  const labeled = concatBytes(size, utf8ToBytes("HPKE-v1"), suite, utf8ToBytes(label), info);
  return expand(sha256, prk, labeled, length);
}
