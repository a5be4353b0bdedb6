// Opens files beside the page, which stays free to scroll and to answer.

import { NotAKey } from "../reader/errors.js";
import { decodeKeyFile, readKey, readVerifyingKey } from "../reader/key_text.js";
import { openSealed } from "../reader/photograph.js";
import { encodePng } from "../reader/png.js";
import { fromPassphrase } from "../reader/secret_key.js";

const MAX_KEY_FILE = 1 << 20;

self.addEventListener("message", async ({ data: { key, signers, files } }) => {
  try {
    const opener = await makeKey(key);
    const known = signers.map(readVerifyingKey);
    for (const [index, file] of files.entries()) {
      self.postMessage({ index, ...(await openOne(file, opener, known, index)) });
    }
    self.postMessage({ done: true });
  } catch (error) {
    self.postMessage({ done: true, error: sayWhy(error) });
  }
});

async function makeKey({ source, text, file, passphrase, keyId }) {
  if (source === "passphrase") return fromPassphrase(passphrase, keyId);
  if (source === "text") return readKey(text);
  if (file.size > MAX_KEY_FILE) throw new NotAKey("This is no key file: it is too large for one.");
  return readKey(decodeKeyFile(new Uint8Array(await file.arrayBuffer())));
}

async function openOne(file, key, signers, index) {
  const progress = (done, total) => self.postMessage({ index, progress: done / total });
  try {
    const { image, signer, ...opened } = await openSealed(file, key, { signers, progress });
    const { width, height } = image;
    const picture = { png: await encodePng(image), width, height };
    return { opened: { ...opened, picture, signer: signer?.fingerprint } };
  } catch (error) {
    return { error: sayWhy(error) };
  }
}

function sayWhy(error) {
  if (error instanceof NotAKey || error.outcome) return error.message;
  if (error.name === "NotReadableError" || error.name === "NotFoundError") {
    return "The file cannot be read: it was moved, changed, or is a folder.";
  }
  return `This browser could not do what it takes (${error.name}). A newer one may.`;
}
