// The codecs of the image in a message. Each gives values in (row, column, channel) order, and
// refuses an image of another size before it decompresses it.

import decodeWebp, { init as initWebp } from "@jsquash/webp/decode.js";
import { JxlImage, initSync as initJxl } from "jxl-oxide-wasm";
import { jxlModule, webpModule } from "#wasm";
import { concatBytes, u32, utf8ToBytes } from "./bytes.js";
import { NotSealed } from "./errors.js";
import { decodePng } from "./png.js";

/** By the number in the message. */
export const decoders = [decodeRaw, decodeVp8l, decodeJpegXl];

async function decodeRaw(bytes, { height, width, channels }) {
  if (bytes.length !== height * width * channels) throw new NotSealed();
  return bytes.slice();
}

/** The payload of the chunk VP8L of a WebP file (RFC 9649). */
async function decodeVp8l(payload, shape) {
  const size = readVp8lSize(payload);
  if (size?.width !== shape.width || size.height !== shape.height) throw new NotSealed();
  const chunk = concatBytes(utf8ToBytes("WEBPVP8L"), u32(payload.length), payload);
  const padding = new Uint8Array(payload.length % 2);
  const file = concatBytes(utf8ToBytes("RIFF"), u32(chunk.length + padding.length), chunk, padding);
  return dropAlpha(await decodeWebpFile(file), shape.channels);
}

/** Width and height that a VP8L payload says that it has; null if it is none. */
export function readVp8lSize(payload) {
  if (payload.length < 5 || payload[0] !== 0x2f) return null;
  const bits = payload[1] | (payload[2] << 8) | (payload[3] << 16) | (payload[4] << 24);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

/** Red, green, blue and alpha of a lossless WebP file. */
export async function decodeWebpFile(file) {
  await initWebp(await webpModule(), { locateFile: String }); // its code is at hand, not in a file
  try {
    return (await decodeWebp(file.buffer)).data;
  } catch {
    throw new NotSealed();
  }
}

async function decodeJpegXl(bytes, shape) {
  initJxl({ module: await jxlModule() });
  let png;
  try {
    const image = new JxlImage();
    image.feedBytes(bytes);
    const isReady = image.tryInit() && image.loaded;
    const fits = image.width === shape.width && image.height === shape.height;
    if (!isReady || !fits) throw new NotSealed();
    png = image.render().encodeToPng();
  } catch {
    throw new NotSealed();
  }
  const { channels, values } = await decodePng(new Blob([png]));
  if (channels !== shape.channels) throw new NotSealed();
  return values;
}

/** Red, green and blue, or red alone of a grey image, which WebP keeps as three equal channels. */
export function dropAlpha(rgba, channels) {
  const values = new Uint8Array((rgba.length / 4) * channels);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += channels) {
    for (let channel = 0; channel < channels; channel += 1) values[j + channel] = rgba[i + channel];
  }
  return values;
}
