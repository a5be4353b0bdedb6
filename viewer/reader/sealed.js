// Sealed images, version 2: under a secret key.

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { NOTHING, concatBytes, equalBytes, u32 } from "./bytes.js";
import { NotSealed } from "./errors.js";
import { decodeMessage } from "./message.js";
import { clearStored, readStored } from "./planes.js";
import { openForRecipient } from "./recipients.js";
import { SecretKey } from "./secret_key.js";
import { decryptSiv } from "./siv.js";

const VERSION = 2;
const TAG = 16;
const SIV = 16;

/**
 * Open a sealed image, `{ height, width, channels, values }`. Gives the plain `image`, `derive` of
 * the key that it was sealed under, and `signer`, the fingerprint of who signed, or null.
 */
export async function unseal(sealed, key, signers = []) {
  if (!(key instanceof SecretKey)) return openForRecipient(sealed, key, signers);
  if (signers.length) throw new NotSealed("Images under a secret key have no signature.");
  const { values } = sealed;
  const nBytes = (planes) => Math.floor((values.length * planes) / 8);
  const planes = [1, 2, 3, 4, 5, 6, 7].filter((k) => nBytes(k) >= TAG + SIV);
  if (!planes.length) throw new NotSealed();

  const tag = readStored(values, 0, TAG);
  const cleared = values.slice();
  clearStored(cleared, 0, TAG);
  const tagKey = key.derive("sealed/tag", NOTHING, 32);
  const fits = (k) => {
    const expected = hmac.create(sha256, tagKey).update(contextOf(sealed, k)).update(cleared);
    return equalBytes(expected.digest().subarray(0, TAG), tag);
  };
  const k = planes.find(fits);
  if (k === undefined) throw new NotSealed(describe(sealed));

  const encrypted = readStored(values, TAG, nBytes(k));
  const sivKey = key.derive("sealed/siv", NOTHING, 64);
  const message = decryptSiv(sivKey, contextOf(sealed, k), encrypted);
  const image = await decodeMessage(message, sealed, VERSION);
  return { image, derive: (...purpose) => key.derive(...purpose), signer: null };
}

function contextOf({ height, width, channels, values }, planes) {
  return concatBytes(u32(height, width, channels, values.length), Uint8Array.of(planes));
}

/** What anybody can see in pixels that no key would open. */
function describe({ channels, values }) {
  if (channels === 3 && values.every((value, i) => value === values[i - (i % 3)])) {
    return "The picture is grey, stored as colour: perhaps a program has converted it.";
  }
  return undefined;
}
