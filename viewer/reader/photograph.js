// Sealed photographs, versions 1 and 2, and sealed images in files.

import { sha256 } from "@noble/hashes/sha2.js";
import { NOTHING, concatBytes, decodeUtf8, equalBytes, hexToBytes, u32, viewOf } from "./bytes.js";
import { isPng } from "./chunks.js";
import { encodeContext } from "./context.js";
import { NotSealed } from "./errors.js";
import { checkHeader, readHeader } from "./header.js";
import { decodePixels } from "./png.js";
import { readEncryptedFile, readEnd, readStructure } from "./png_structure.js";
import { verify } from "./recipients.js";
import { unseal } from "./sealed.js";
import { decryptSegments } from "./segments.js";
import { decodeWebpPicture } from "./webp_picture.js";

const MAX_PIXELS = { photograph: 4194304, image: 1 << 26 };
const SALT = 16;
const START = 48; // salt and commitment
const MAX_DETAILS = 16384;
const MAX_LEVELS = 32;
const PART = 4 << 20;

/**
 * Open a file with a key. Gives `found`, "original" or "thumbnail"; `image`, the thumbnail or sealed
 * image; `scheme`, as which the file says that it was sealed, or null; `signer`, or null; and, of an
 * original, `name`, or null, and `file`, a blob. There is nothing before all of it was authentic.
 */
export async function openSealed(blob, key, { signers = [], progress = () => {} } = {}) {
  if (!(await isPng(blob))) {
    const { image, signer } = await unseal(await decodeWebpPicture(blob), key, signers);
    return { found: "thumbnail", image, scheme: null, signer };
  }
  const structure = await readStructure(blob);
  const header = readHeader(structure.header);
  if (header) checkHeader(header, key);
  const scheme = header?.scheme ?? null;
  const isPhotograph = scheme === "photograph";
  const hasFile = structure.chunks.name === "riCS";
  const maxPixels = isPhotograph || hasFile ? MAX_PIXELS.photograph : MAX_PIXELS.image;
  if (structure.ihdr.width * structure.ihdr.height > maxPixels) throw new NotSealed();

  const picture = await decodePixels(structure);
  const { image, derive, signer } = await unseal(picture, key, signers);
  if (!hasFile) {
    await readEnd(structure.chunks);
    return { found: "thumbnail", image, scheme, signer };
  }
  if (!isPhotograph) throw new NotSealed();

  const { height, width, channels, values } = picture;
  const pixels = sha256(concatBytes(u32(height, width, channels), values));
  const binding = { version: header.version, header: structure.header, pixels, derive, signer };
  const original = await openFile(structure.chunks, binding, (bytes) => progress(bytes, blob.size));
  return { found: "original", image, scheme, signer, ...original };
}

async function openFile(chunks, { version, header, pixels, derive, signer }, progress) {
  const pieces = readEncryptedFile(chunks);
  const start = await takeStart(pieces);
  const salt = start.slice(0, SALT);
  const context = encodeContext("photograph", version, { header, pixels, salt });
  const derived = derive("photograph/file", context, 64);
  if (!equalBytes(derived.subarray(32), start.subarray(SALT, START))) throw new NotSealed();

  const hash = signer && sha256.create();
  const parts = new Parts();
  const add = (bytes) => {
    hash?.update(bytes);
    parts.add(bytes);
  };
  let details = null;
  for await (const segment of decryptSegments(derived.subarray(0, 32), chain(start, pieces))) {
    if (details) add(segment);
    else details = readDetails(segment, add);
    progress(chunks.position);
  }
  await readEnd(chunks);
  if (signer) verifyFile(details, { pixels, salt, sha256: hash.digest() }, signer);
  return { name: details.name, file: parts.blob() };
}

/** At least as many bytes as come before the segments. */
async function takeStart(pieces) {
  let start = NOTHING;
  while (start.length < START) {
    const { value, done } = await pieces.next();
    if (done) throw new NotSealed();
    start = concatBytes(start, value);
  }
  return start;
}

async function* chain(start, pieces) {
  yield start.subarray(START);
  yield* pieces;
}

/** What stands before the file in the first segment; `use` is given what follows there. */
function readDetails(segment, use) {
  if (segment.length < 4) throw new NotSealed();
  const length = viewOf(segment).getUint32(0, true);
  if (length > MAX_DETAILS || segment.length < 4 + length) throw new NotSealed();
  let details;
  try {
    details = JSON.parse(decodeUtf8(segment.subarray(4, 4 + length)));
  } catch {
    throw new NotSealed();
  }
  if (details?.constructor !== Object || !isName(details.name)) throw new NotSealed();
  if (!hasLevels(details, MAX_LEVELS)) throw new NotSealed();
  use(segment.subarray(4 + length));
  return details;
}

/** Whether objects and lists are nested in no more than so many levels. */
function hasLevels(value, levels) {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => hasLevels(inner, levels - 1));
}

function isName(name) {
  if (name === null) return true;
  if (typeof name !== "string") return false;
  const { length } = Array.from(name);
  return length >= 1 && length <= 1024 && !/[/\0\p{Surrogate}]/u.test(name);
}

function verifyFile({ name, signature }, { pixels, salt, sha256: hash }, signer) {
  const settings = { name, pixels, salt, sha256: hash };
  const signed = encodeContext("photograph/signature", 2, settings);
  if (typeof signature !== "string" || !/^[0-9a-f]{128}$/.test(signature)) throw new NotSealed();
  verify(signer.bytes, hexToBytes(signature), signed);
}

/** A file as it grows. The browser may keep blobs on the disk, so parts of it become such. */
class Parts {
  #blobs = [];
  #pending = [];
  #pendingLength = 0;

  add(bytes) {
    this.#pending.push(bytes.slice());
    this.#pendingLength += bytes.length;
    if (this.#pendingLength >= PART) this.#flush();
  }

  #flush() {
    this.#blobs.push(new Blob(this.#pending));
    [this.#pending, this.#pendingLength] = [[], 0];
  }

  blob() {
    this.#flush();
    return new Blob(this.#blobs);
  }
}
