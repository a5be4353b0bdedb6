// Every case of the shared kit has the outcome that is written beside it.

import assert from "node:assert/strict";
import { openAsBlob, readFileSync } from "node:fs";
import { test } from "node:test";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "../reader/bytes.js";
import { readKey, readVerifyingKey } from "../reader/key_text.js";
import { openSealed } from "../reader/photograph.js";

const FOLDER = new URL("../../tests/testkit/cases/", import.meta.url);
const CASES = JSON.parse(readFileSync(new URL("cases.json", FOLDER)));

function describe({ height, width, channels, values }) {
  return { shape: [height, width, channels], sha256: bytesToHex(sha256(values)) };
}

async function open({ kind, file, key, signers = [] }) {
  const blob = await openAsBlob(new URL(file, FOLDER));
  let opened;
  try {
    opened = await openSealed(blob, readKey(key), { signers: signers.map(readVerifyingKey) });
  } catch (error) {
    if (!error.outcome) throw error;
    return { expect: error.outcome };
  }
  const signer = key.startsWith("RICSK-KEY-") ? {} : { signer: opened.signer?.fingerprint ?? null };
  if (kind === "image") return { expect: "opens", ...describe(opened.image), ...signer };
  const found = { expect: "opens", found: opened.found, thumbnail: describe(opened.image), ...signer };
  if (opened.found === "original") {
    const content = new Uint8Array(await opened.file.arrayBuffer());
    const hash = bytesToHex(sha256(content));
    found.original = { name: opened.name, length: content.length, sha256: hash };
  }
  return found;
}

for (const entry of CASES) {
  test(entry.name, async () => {
    const { name, kind, file, key, signers, comment, needs, ...expected } = entry;
    if (expected.signer) expected.signer = readVerifyingKey(expected.signer).fingerprint;
    assert.deepEqual(await open(entry), expected);
  });
}
