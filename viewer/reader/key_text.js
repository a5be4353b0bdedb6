// Keys as people keep them: one line of text, or a file with that line.

import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, equalBytes, hexToBytes, utf8ToBytes } from "./bytes.js";
import { NotAKey } from "./errors.js";
import { PrivateKey, VerifyingKey } from "./private_key.js";
import { SecretKey } from "./secret_key.js";

const DAMAGED = "The key is damaged: a character is missing or wrong.";

/** The key that opens: a secret key, or a private one. */
export function readKey(text) {
  const line = onlyLine(text);
  if (line.startsWith("RICSK-KEY-")) return readSecretKey(line);
  for (const kind of ["X25519", "MLKEM768-X25519"]) {
    const mark = `RICSK-PRIVATE-${kind}-`;
    if (line.startsWith(mark)) return new PrivateKey(kind, readRaw(line, mark));
  }
  if (line.startsWith("RICSK-PUBLIC-")) {
    throw new NotAKey("This is a public key, which seals and does not open. Give the private key.");
  }
  if (/^RICSK-(SIGNING|VERIFYING)-/.test(line)) {
    throw new NotAKey("This is the key of a signer, which does not open. Give the private key.");
  }
  throw new NotAKey("This is no key of ricsk: one begins with RICSK-KEY- or RICSK-PRIVATE-.");
}

/** The key that a signature is to be of. */
export function readVerifyingKey(text) {
  const line = onlyLine(text);
  const mark = "RICSK-VERIFYING-ED25519-";
  if (!line.startsWith(mark)) throw new NotAKey(`A signer's public key begins with ${mark}.`);
  return new VerifyingKey(readRaw(line, mark));
}

/** A key file may be in UTF-8, UTF-16 or UTF-32. */
export function decodeKeyFile(bytes) {
  const [a, b, c, d] = bytes;
  const starts = (...start) => start.every((byte, i) => bytes[i] === byte);
  try {
    if (starts(0xff, 0xfe, 0, 0) || (a && b === 0 && c === 0)) return decodeUtf32(bytes, true);
    if (starts(0, 0, 0xfe, 0xff) || (a === 0 && b === 0)) return decodeUtf32(bytes, false);
    if (starts(0xff, 0xfe) || (a && b === 0)) return decode("utf-16le", bytes);
    if (starts(0xfe, 0xff) || (a === 0 && b)) return decode("utf-16be", bytes);
    return decode("utf-8", bytes);
  } catch {
    throw new NotAKey("This is no key file: it is not text.");
  }
}

function decode(encoding, bytes) {
  return new TextDecoder(encoding, { fatal: true }).decode(bytes);
}

function decodeUtf32(bytes, littleEndian) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const points = Array.from({ length: bytes.length / 4 }, (_, i) =>
    view.getUint32(4 * i, littleEndian),
  );
  return String.fromCodePoint(...points).replace(/^\ufeff/, "");
}

function onlyLine(text) {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim());
  const kept = lines.filter((line) => line && !line.startsWith("#"));
  if (kept.length !== 1) {
    throw new NotAKey(`A key is one line of text; this has ${kept.length || "none"}.`);
  }
  return kept[0];
}

function readSecretKey(line) {
  if (!line.startsWith("RICSK-KEY-1-")) throw new NotAKey("The key is of a later version of ricsk.");
  const [body, salt = "", ...more] = line.slice("RICSK-KEY-1-".length).split(".");
  const bytes = decodeBase64url(body);
  const isSalt = line.includes(".") ? /^[0-9a-f]{32}$/.test(salt) : true;
  if (bytes.length !== 36 || !isSalt || more.length) throw new NotAKey(DAMAGED);
  const key = new SecretKey(bytes.slice(0, 32), hexToBytes(salt));
  if (!equalBytes(key.checksum, bytes.subarray(32))) throw new NotAKey(DAMAGED);
  return key;
}

function readRaw(line, mark) {
  const bytes = decodeBase64url(line.slice(mark.length));
  if (bytes.length !== 36) throw new NotAKey(DAMAGED);
  const raw = bytes.slice(0, 32);
  const checksum = sha256(concatBytes(utf8ToBytes(mark), raw)).subarray(0, 4);
  if (!equalBytes(checksum, bytes.subarray(32))) throw new NotAKey(DAMAGED);
  return raw;
}

function decodeBase64url(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 !== 0) throw new NotAKey(DAMAGED);
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
