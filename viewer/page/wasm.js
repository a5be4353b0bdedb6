// The decoders' machine code, which the build puts into the page.

import jxl from "jxl-oxide-wasm/module.wasm";
import webp from "@jsquash/webp/codec/dec/webp_dec.wasm";

export const webpModule = () => WebAssembly.compile(webp);
export const jxlModule = () => WebAssembly.compile(jxl);
