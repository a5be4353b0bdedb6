// The message in a sealed image: version, codec, scale, nonce, compressed image, padding.

import { decoders } from "./codecs.js";
import { NewerFormat, NotSealed } from "./errors.js";

const PREFIX = 18;
const MARK = 0x80;

/** The plain image, from the authentic message of a sealed image. */
export async function decodeMessage(message, sealed, version) {
  if (message.length < PREFIX) throw new NotSealed();
  const found = message[0] >> 4;
  const codec = message[0] & 15;
  const decode = decoders[codec];
  if (found > version) throw new NewerFormat("A sealed image");
  if (found < version) {
    throw new NotSealed(found === 1 ? "Its format is one from before ricsk's first release." : "");
  }
  if (!decode) throw new NewerFormat("A sealed image with a codec");

  const scale = message[1];
  if (!scale || sealed.height % scale || sealed.width % scale) throw new NotSealed();
  const end = message.findLastIndex((byte) => byte !== 0);
  if (end < PREFIX || message[end] !== MARK) throw new NotSealed();

  const { channels } = sealed;
  const [height, width] = [sealed.height / scale, sealed.width / scale];
  const shape = { height, width, channels };
  return { ...shape, values: await decode(message.subarray(PREFIX, end), shape) };
}
