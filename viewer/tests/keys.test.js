// Keys, contexts and what is derived from them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, hexToBytes, utf8ToBytes } from "../reader/bytes.js";
import { encodeContext } from "../reader/context.js";
import { NotAKey } from "../reader/errors.js";
import { decodeKeyFile, readKey, readVerifyingKey } from "../reader/key_text.js";
import { SecretKey, fromPassphrase } from "../reader/secret_key.js";
import { readVectors } from "./vectors.js";

const KEYS = readVectors("keys");

/** A value of a context, of which JSON has no own type. */
function readValue(value) {
  if (Array.isArray(value)) return value.map(readValue);
  return value?.bytes === undefined ? value : hexToBytes(value.bytes);
}

for (const { text, key_id: id, raw, salt } of [KEYS.key, KEYS.passphrase]) {
  test(`a key from text has the id ${id}`, () => {
    assert.equal(readKey(text).fullId, id);
    assert.equal(new SecretKey(hexToBytes(raw), hexToBytes(salt)).fullId, id);
    assert.equal(readKey(`# mine\n\n  ${text} \r\n`).fullId, id);
  });
}

test("sub-keys", () => {
  const key = readKey(KEYS.key.text);
  for (const { purpose, context, bytes } of KEYS.derive) {
    const derived = key.derive(purpose, hexToBytes(context), bytes.length / 2);
    assert.equal(bytesToHex(derived), bytes);
  }
});

test("contexts", () => {
  // No format that this reader reads has a number that is not whole in a context.
  const whole = readVectors("context").filter(({ parameters }) => !("alpha" in parameters));
  assert.equal(whole.length, 3);
  for (const { scheme, version, parameters, bytes } of whole) {
    const settings = Object.fromEntries(
      Object.entries(parameters).map(([name, value]) => [name, readValue(value)]),
    );
    assert.equal(bytesToHex(encodeContext(scheme, version, settings)), bytes);
  }
});

test("names of a context are in the order of their code points", () => {
  const [high, low] = ["\u{1f511}", "\uffee"]; // JavaScript puts the first one before the second
  const encoded = bytesToHex(encodeContext("s", 1, { [high]: null, [low]: null }));
  assert.ok(encoded.indexOf(bytesToHex(utf8ToBytes(low))) < encoded.indexOf(bytesToHex(utf8ToBytes(high))));
});

test("whole numbers of contexts, up to the sign bit", () => {
  const ends = (number, hex) => bytesToHex(encodeContext("s", 1, { n: number })).endsWith(hex);
  assert.ok(ends(127, "4901000000000000007f"));
  assert.ok(ends(128, "4902000000000000008000"));
  assert.ok(ends(-129, "4902000000000000007fff"));
});

test("a passphrase with the id of its key", async () => {
  const { passphrase, key_id: id, text } = KEYS.passphrase;
  const decomposed = passphrase.normalize("NFD");
  assert.notEqual(decomposed, passphrase);
  assert.deepEqual((await fromPassphrase(decomposed, id)).checksum, readKey(text).checksum);
  await assert.rejects(fromPassphrase(`${passphrase}!`, id), /not that of the key/);
  await assert.rejects(fromPassphrase(passphrase, id.slice(0, 16)), /16 digits, a dot/);
});

test("a key file in every encoding", () => {
  const line = KEYS.key.text;
  const text = `# von mir für mich\r\n${line}\n`;
  const utf16 = (mark) => new Uint8Array(Uint16Array.from(mark + text, (c) => c.charCodeAt(0)).buffer);
  const utf32 = (mark) => new Uint8Array(Uint32Array.from(mark + text, (c) => c.charCodeAt(0)).buffer);
  const swap = (bytes, size) =>
    bytes.map((_, i) => bytes[i - (i % size) + size - 1 - (i % size)]);
  for (const mark of ["", "\ufeff"]) {
    const files = [utf8ToBytes(mark + text), utf16(mark), utf32(mark)];
    for (const file of [...files, swap(files[1], 2), swap(files[2], 4)]) {
      assert.equal(readKey(decodeKeyFile(file)).fullId, KEYS.key.key_id);
    }
  }
  assert.throws(() => decodeKeyFile(Uint8Array.of(0x52, 0xff, 0xfe)), /not text/);
});

test("what is no key is refused, and not repeated", () => {
  const { text } = KEYS.key;
  const damaged = `${text.slice(0, -1)}W`;
  const { text: salted } = KEYS.passphrase;
  const others = [
    "", "hunter2", damaged, text.slice(0, -1), `${text}A`, `${text}=`, `${text}.`, `${text}\n${text}`,
    salted.slice(0, -1), salted.split(".")[0], `${salted}.00`, text.replace("KEY-1", "KEY-2"),
    text.replace("RICSK", "ricsk"),
  ];
  for (const other of others) {
    assert.throws(() => readKey(other), (error) => {
      assert.ok(error instanceof NotAKey);
      assert.ok(!error.message.includes(other.slice(12) || "?"));
      return true;
    });
  }
  assert.throws(() => readKey(text.replace("KEY-1", "KEY-2")), /later version/);
});

test("key pairs", () => {
  const { key_pairs: pairs } = readVectors("recipients");
  for (const { kind, private_text: secret, public_text: open, fingerprint } of pairs) {
    if (kind === "ED25519") {
      assert.equal(readVerifyingKey(open).fingerprint, fingerprint);
      assert.throws(() => readKey(secret), /key of a signer/);
      assert.throws(() => readVerifyingKey(secret), /begins with/);
    } else {
      assert.equal(readKey(secret).fingerprint, fingerprint);
      assert.throws(() => readKey(open), /public key/);
      assert.throws(() => readKey(secret.replace(kind, kind === "X25519" ? "MLKEM768-X25519" : "X25519")), /damaged/);
    }
  }
  assert.equal(pairs.length, 5);
});

test("keys do not show themselves", () => {
  const { text, raw } = KEYS.key;
  const pair = readVectors("recipients").key_pairs[0];
  for (const [key, secret] of [[readKey(text), raw], [readKey(pair.private_text), pair.private]]) {
    const bytes = [...hexToBytes(secret)].join();
    for (const shown of [JSON.stringify(key), String(key), Object.values(key).join()]) {
      assert.ok(!shown.includes(secret) && !shown.includes(bytes));
    }
  }
});
