// A file from its beginning to its end, a block of it in memory.

import { NOTHING, concatBytes } from "./bytes.js";
import { NotSealed } from "./errors.js";

const BLOCK = 1 << 20;

export class BlobReader {
  #blob;
  #position = 0; // of the end of the block
  #block = NOTHING;

  constructor(blob) {
    this.#blob = blob;
  }

  get position() {
    return this.#position - this.#block.length;
  }

  get atEnd() {
    return this.position === this.#blob.size;
  }

  /** The next `length` bytes, of which there must be as many. */
  async take(length) {
    while (this.#block.length < length) {
      const next = this.#blob.slice(this.#position, this.#position + BLOCK);
      if (next.size === 0) throw new NotSealed("The file ends too early.");
      this.#block = concatBytes(this.#block, new Uint8Array(await next.arrayBuffer()));
      this.#position += next.size;
    }
    const taken = this.#block.subarray(0, length);
    this.#block = this.#block.subarray(length);
    return taken;
  }
}
