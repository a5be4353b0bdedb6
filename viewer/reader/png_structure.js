// What is where in a PNG file that may be a sealed photograph, up to the encrypted file in it.

import { Chunks } from "./chunks.js";
import { viewOf } from "./bytes.js";
import { NotSealed } from "./errors.js";
import { MAX_HEADER } from "./header.js";

const MAX_PALETTE = 768;

/**
 * Read the chunks up to the first riCS or IEND. Gives `ihdr`, `palette` and `header`, the content
 * of PLTE and riCM or null, `idat`, a blob, and `chunks`, where the reader stands.
 */
export async function readStructure(blob) {
  const chunks = new Chunks(blob);
  await chunks.next();
  if (chunks.name !== "IHDR") throw new NotSealed();
  const found = { ihdr: readIhdr(await chunks.content(13)), palette: null, header: null, chunks };

  await chunks.next();
  while (chunks.name !== "IDAT") {
    if (chunks.name === "riCM" && !found.header && !found.palette) found.header = await chunks.content(MAX_HEADER);
    else if (chunks.name === "PLTE" && !found.palette) found.palette = await chunks.content(MAX_PALETTE);
    else if (!isOther(chunks.name)) throw new NotSealed();
    await chunks.next();
  }

  const parts = [];
  while (chunks.name === "IDAT") {
    parts.push(blob.slice(chunks.position, chunks.position + chunks.length));
    await chunks.next();
  }
  while (chunks.name !== "riCS" && chunks.name !== "IEND") {
    if (!isOther(chunks.name)) throw new NotSealed();
    await chunks.next();
  }
  return { ...found, idat: new Blob(parts) };
}

/** The encrypted file: the contents of all chunks riCS, which the reader has come to. */
export async function* readEncryptedFile(chunks) {
  while (chunks.name === "riCS") {
    yield* chunks.pieces();
    await chunks.next();
  }
}

/** From behind the encrypted file to the end. */
export async function readEnd(chunks) {
  while (chunks.name !== "IEND") {
    if (!isOther(chunks.name)) throw new NotSealed();
    await chunks.next();
  }
  await chunks.content(0);
  if (!chunks.atEnd) throw new NotSealed();
}

/** Whether a chunk means nothing here, and may be passed over. */
function isOther(name) {
  return /^[a-z]/.test(name) && name !== "riCM" && name !== "riCS";
}

function readIhdr(content) {
  if (content.length !== 13) throw new NotSealed();
  const view = viewOf(content);
  const [bitDepth, colourType, compression, filter, interlace] = content.subarray(8);
  const ihdr = { width: view.getUint32(0), height: view.getUint32(4), bitDepth, colourType };
  const isSize = (length) => length >= 1 && length <= 0x7fffffff;
  const isKnown = compression === 0 && filter === 0 && interlace <= 1;
  if (!isSize(ihdr.width) || !isSize(ihdr.height) || !isKnown) throw new NotSealed();
  return { ...ihdr, interlaced: interlace === 1 };
}
