// Counts what is refused of files with a flipped bit, and under wrong keys: node fuzz.js [of each].

import { randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { hexToBytes } from "./reader/bytes.js";
import { openSealed } from "./reader/photograph.js";
import { PrivateKey } from "./reader/private_key.js";
import { unseal } from "./reader/sealed.js";
import { SecretKey } from "./reader/secret_key.js";

const number = Number(process.argv[2] ?? 10000);
const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`../tests/vectors/${name}.json`, import.meta.url)));
const sealed = vectors("sealed");
const recipients = vectors("recipients");
const photographs = vectors("photograph");
const makeSecretKey = (bytes) => new SecretKey(bytes);

/** What is opened: its bytes, the right key, how a key is made, and how bytes are opened. */
const targets = {
  "images, version 2": image(sealed.images[0], sealed.key, makeSecretKey),
  "images, version 3, X25519": signedImage("X25519"),
  "images, version 3, MLKEM768-X25519": signedImage("MLKEM768-X25519"),
  photographs: {
    bytes: hexToBytes(photographs.photographs[1].photograph),
    key: hexToBytes(photographs.key),
    makeKey: makeSecretKey,
    open: (bytes, key) => openSealed(new Blob([bytes]), key),
  },
};

function image({ shape: [height, width, channels], scale, ciphertext }, key, makeKey) {
  const size = { height: height * scale, width: width * scale, channels };
  const open = (values, opener) => unseal({ ...size, values }, opener);
  return { bytes: hexToBytes(ciphertext), key: hexToBytes(key), makeKey, open };
}

function signedImage(kind) {
  const vector = recipients.images.find((candidate) => candidate.kind === kind && candidate.signer);
  return image(vector, vector.private[0], (bytes) => new PrivateKey(kind, bytes));
}

/** Whether it is refused; other errors than that are mistakes of the reader. */
async function refuses({ open }, bytes, key) {
  try {
    await open(bytes, key);
    return false;
  } catch (error) {
    if (!error.outcome) throw error;
    return true;
  }
}

async function count(times, attempt) {
  let refused = 0;
  for (let i = 0; i < times; i += 1) refused += await attempt();
  return refused;
}

const each = Math.ceil(number / Object.keys(targets).length);
let total = 0;
for (const [name, target] of Object.entries(targets)) {
  const key = target.makeKey(target.key);
  if (await refuses(target, target.bytes, key)) throw new Error(`${name} do not open at all`);
  const flips = await count(each, () => {
    const bytes = target.bytes.slice();
    bytes[randomInt(bytes.length)] ^= 1 << randomInt(8);
    return refuses(target, bytes, key);
  });
  const keys = await count(each, () =>
    refuses(target, target.bytes, target.makeKey(new Uint8Array(randomBytes(32)))),
  );
  console.log(`${name}: refused ${flips} of ${each} flips, ${keys} of ${each} wrong keys`);
  total += flips + keys;
}
const expected = 2 * each * Object.keys(targets).length;
console.log(`refused ${total} of ${expected}`);
process.exitCode = total === expected ? 0 : 1;
