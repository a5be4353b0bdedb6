// Sealed images of both versions against the vectors.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hexToBytes } from "../reader/bytes.js";
import { NotSealed } from "../reader/errors.js";
import { readKey, readVerifyingKey } from "../reader/key_text.js";
import { PrivateKey } from "../reader/private_key.js";
import { unseal } from "../reader/sealed.js";
import { SecretKey } from "../reader/secret_key.js";
import { plainImage, readVectors, sealedImage } from "./vectors.js";

const SEALED = readVectors("sealed");
const RECIPIENTS = readVectors("recipients");
const KEY = new SecretKey(hexToBytes(SEALED.key));
const pairs = (kind) => RECIPIENTS.key_pairs.filter((pair) => pair.kind === kind);
const privateKey = (vector, i) => new PrivateKey(vector.kind, hexToBytes(vector.private[i]));
const SIGNER = pairs("ED25519")[0];

for (const vector of SEALED.images) {
  const { codec, shape, bit_planes: planes } = vector;
  test(`version 2, ${codec}, ${shape}, ${planes} planes`, async () => {
    const { image, signer } = await unseal(sealedImage(vector), KEY);
    assert.deepEqual(image, plainImage(shape));
    assert.equal(signer, null);
    await refuses(sealedImage(vector), readKey(pairs("X25519")[0].private_text));
  });
}

for (const vector of RECIPIENTS.images) {
  const { kind, codec, shape, bit_planes: planes } = vector;
  const n = vector.private.length;
  test(`version 3, ${kind}, ${codec}, ${shape}, ${planes} planes, ${n} recipients`, async () => {
    for (let i = 0; i < n; i += 1) {
      const { image, signer } = await unseal(sealedImage(vector), privateKey(vector, i));
      assert.deepEqual(image, plainImage(shape));
      assert.equal(signer && signer.fingerprint, vector.signer && SIGNER.fingerprint);
    }
    const other = hexToBytes("00".repeat(31) + "42");
    await refuses(sealedImage(vector), new PrivateKey(kind, other));
    await refuses(sealedImage(vector), KEY);
  });
}

test("a signature can be asked for", async () => {
  const verifying = readVerifyingKey(SIGNER.public_text);
  for (const vector of RECIPIENTS.images) {
    const opening = unseal(sealedImage(vector), privateKey(vector, 0), [verifying]);
    if (vector.signer) assert.equal((await opening).signer.fingerprint, SIGNER.fingerprint);
    else await assert.rejects(opening, NotSealed);
  }
  await assert.rejects(unseal(sealedImage(SEALED.images[0]), KEY, [verifying]), NotSealed);
});

test("another signer than the one that is asked for", async () => {
  const other = { bytes: new Uint8Array(32).fill(7) };
  const vector = RECIPIENTS.images.find(({ signer }) => signer);
  await assert.rejects(unseal(sealedImage(vector), privateKey(vector, 0), [other]), NotSealed);
});

async function refuses(sealed, key) {
  await assert.rejects(unseal(sealed, key), (error) => {
    assert.ok(error instanceof NotSealed);
    assert.match(error.message, /wrong key, damaged, or not sealed with ricsk/);
    return true;
  });
}
