// The decoders' machine code, from the installed packages; a page has it inside itself instead.

import { readFile } from "node:fs/promises";

export const webpModule = () => load("@jsquash/webp/codec/dec/webp_dec.wasm");
export const jxlModule = () => load("jxl-oxide-wasm/module.wasm");

async function load(name) {
  return WebAssembly.compile(await readFile(new URL(import.meta.resolve(name))));
}
