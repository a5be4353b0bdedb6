// Makes the page: one HTML file with all scripts, decoders, styles and licences in it.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(here(path), "utf8");
const sha256 = (text, encoding) => createHash("sha256").update(text).digest(encoding);

async function bundle(entry, define = {}) {
  const { outputFiles, metafile } = await build({
    entryPoints: [here(entry).pathname],
    absWorkingDir: here(".").pathname,
    define,
    bundle: true,
    minify: true,
    charset: "utf8",
    format: "iife",
    legalComments: "none", // they are all in the page, see below
    loader: { ".wasm": "binary" },
    metafile: true,
    platform: "browser",
    target: "es2023",
    write: false,
  });
  return { code: outputFiles[0].text.trim(), inputs: Object.keys(metafile.inputs) };
}

/** The licence files of the packages that these inputs are of, and of this one. */
function collectLicences(inputs) {
  const folders = inputs.map((path) => /^node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const packages = [...new Set(folders.filter(Boolean))].sort();
  const texts = packages.map((folder) => {
    const { name, version, license } = JSON.parse(read(`${folder}/package.json`));
    const files = readdirSync(here(folder), { recursive: true })
      .filter((file) => /(^|\/)licen[cs]e[^/]*$/i.test(file) && !file.includes("node_modules"))
      .sort();
    if (!files.length) throw new Error(`${name} has no licence file`);
    return [`${name} ${version} (${license})`, ...files.map((file) => read(`${folder}/${file}`))];
  });
  const own = ["ricsk (BSD-3-Clause)", read("../LICENSE")];
  return [own, ...texts].map((parts) => parts.map((part) => part.trim()).join("\n\n")).join("\n\n\n");
}

function makePolicy(script, style) {
  return [
    "default-src 'none'",
    `script-src 'sha256-${sha256(script, "base64")}' 'wasm-unsafe-eval'`,
    `style-src 'sha256-${sha256(style, "base64")}'`,
    "img-src blob:",
    "worker-src blob:",
    "connect-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

const escapeHtml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const worker = await bundle("page/worker.js");
const main = await bundle("page/main.js", { WORKER: JSON.stringify(worker.code) });
const style = read("page/style.css");
if (/<\/script|<!--/i.test(main.code)) throw new Error("the script would end its own element");

const parts = {
  policy: makePolicy(main.code, style),
  style,
  licences: escapeHtml(collectLicences([...worker.inputs, ...main.inputs])),
  script: main.code,
};
const page = read("page/index.html").replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
mkdirSync(here("dist"), { recursive: true });
writeFileSync(here("dist/viewer.html"), page);
console.log(`dist/viewer.html: ${Buffer.byteLength(page)} bytes, SHA-256 ${sha256(page, "hex")}`);
