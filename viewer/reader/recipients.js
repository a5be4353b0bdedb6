// Sealed images, version 3: to public keys.

import { ed25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { NOTHING, concatBytes, equalBytes, u32, utf8ToBytes } from "./bytes.js";
import { NotSealed } from "./errors.js";
import { decodeMessage } from "./message.js";
import { clearStored, readStored } from "./planes.js";
import { VerifyingKey } from "./private_key.js";
import { derive } from "./secret_key.js";
import { decryptSiv } from "./siv.js";

const VERSION = 3;
const INFO = utf8ToBytes("ricsk/sealed/3");
const TAG = 32;
const SLOT = 35 + 16; // besides the encapsulated key
const MAX_RECIPIENTS = 16;
const SIGNATURE = 112;
const SHORTEST = 35; // SIV, and a message of an image without bytes

/** As `unseal`, for a private key; with `signers`, for images signed by one of these alone. */
export async function openForRecipient(sealed, key, signers) {
  const { values } = sealed;
  const opened = openSlot(values, key);
  const slotEnd = TAG + opened.n * opened.slot;
  const messageStart = slotEnd + SIGNATURE * opened.s;
  const end = Math.floor((values.length * opened.k) / 8);
  if (end < messageStart + SHORTEST) throw new NotSealed();

  const sizes = [sealed.height, sealed.width, sealed.channels, values.length];
  const context = concatBytes(u32(...sizes), Uint8Array.of(opened.k, opened.n, opened.s));
  const cleared = values.slice();
  clearStored(cleared, 0, TAG);
  const subKey = (name, length) => derive(opened.contentKey, `recipients/${name}`, NOTHING, length);
  const tag = hmac.create(sha256, subKey("tag", 32)).update(context).update(cleared).digest();
  if (!equalBytes(tag, readStored(values, 0, TAG))) throw new NotSealed();

  let signer = null;
  if (opened.s) {
    const encrypted = readStored(values, slotEnd, messageStart);
    const signature = decryptSiv(subKey("signature", 64), context, encrypted);
    clearStored(cleared, slotEnd, messageStart);
    const signed = concatBytes(INFO, Uint8Array.of(0), context, cleared);
    signer = verify(signature.subarray(0, 32), signature.subarray(32), signed);
  }
  requireSigner(signer, signers);
  const message = decryptSiv(subKey("siv", 64), context, readStored(values, messageStart, end));
  const image = await decodeMessage(message, sealed, VERSION);
  return { image, derive: (...purpose) => derive(opened.contentKey, ...purpose), signer };
}

/** The signer, if the signature is theirs. */
export function verify(publicKey, signature, signed) {
  let valid;
  try {
    valid = ed25519.verify(signature, signed, publicKey, { zip215: false });
  } catch {
    valid = false;
  }
  if (!valid) throw new NotSealed();
  return new VerifyingKey(publicKey);
}

function requireSigner(signer, signers) {
  const isKnown = signers.some(({ bytes }) => signer && equalBytes(bytes, signer.bytes));
  if (signers.length && !isKnown) throw new NotSealed();
}

/** The first slot that the key opens: content key, number of planes, of slots, of signatures. */
function openSlot(values, key) {
  const slot = key.encapsulated + SLOT;
  const room = Math.floor((7 * values.length) / 8) - TAG;
  const stored = readStored(values, TAG, TAG + Math.max(0, Math.min(room, MAX_RECIPIENTS * slot)));
  for (let i = 0; (i + 1) * slot <= stored.length; i += 1) {
    const content = tryToOpen(key, stored.subarray(i * slot, (i + 1) * slot));
    if (!content) continue;
    const [k, n, s] = content.subarray(32);
    const isValid = k >= 1 && k <= 7 && n >= 1 && n <= MAX_RECIPIENTS && s <= 1 && i < n;
    if (content.length !== 35 || !isValid) break;
    return { contentKey: content.slice(0, 32), slot, k, n, s };
  }
  throw new NotSealed();
}

function tryToOpen(key, slot) {
  try {
    return key.open(slot, INFO);
  } catch {
    return null;
  }
}
