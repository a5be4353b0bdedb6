// What the file of a ciphertext says in public: a JSON object in canonical form.

import { decodeUtf8 } from "./bytes.js";
import { compareCodePoints } from "./context.js";
import { NewerFormat, NotSealed, WrongKey } from "./errors.js";
import { SecretKey } from "./secret_key.js";

export const MAX_HEADER = 16384;
const NAMES = ["image_shape", "key_id", "parameters", "ricsk", "scheme", "version"];
/** The latest versions that this reader knows, by scheme, and the first for public keys. */
const LATEST = { sealed: 3, photograph: 2 };
const FOR_RECIPIENTS = { sealed: 3, photograph: 2 };

/** The header in these bytes; null, if there are none. */
export function readHeader(content) {
  if (content === null) return null;
  let header;
  try {
    header = parseCanonical(decodeUtf8(content));
  } catch {
    throw new NotSealed();
  }
  if (!isObject(header) || !isCount(header.ricsk)) throw new NotSealed();
  if (header.ricsk > 1) throw new NewerFormat("A header"); // which may have other names
  if (!isHeader(header)) throw new NotSealed();
  return header;
}

/** Refuse by what the header says in public, before anything is decoded. */
export function checkHeader(header, key) {
  const { scheme, version } = header;
  if (!(scheme in LATEST)) {
    throw new NotSealed(`The file says that it is of the scheme "${scheme}", which keeps no picture.`);
  }
  if (scheme === "photograph" && (header.image_shape || Object.keys(header.parameters).length)) {
    throw new NotSealed();
  }
  if (version > LATEST[scheme]) throw new NewerFormat(`A ${scheme} file`);
  const forRecipients = version >= FOR_RECIPIENTS[scheme];
  const isSecret = key instanceof SecretKey;
  if (forRecipients && isSecret) {
    throw new WrongKey(
      "It is sealed to public keys. A private key opens it, which begins with RICSK-PRIVATE-.",
    );
  }
  const named = `It is sealed with the key ${header.key_id}`;
  if (!forRecipients && !isSecret) throw new WrongKey(`${named}. You gave a private key.`);
  const given = isSecret ? key.id : null;
  if (header.key_id !== given) throw new WrongKey(`${named}; you gave ${given ?? "a private key"}.`);
}

function isHeader(header) {
  const isId = (id) => id === null || (typeof id === "string" && /^[0-9a-f]{16}$/.test(id));
  const isShape = (shape) =>
    shape === null || (Array.isArray(shape) && shape.length === 3 && shape.every(isCount));
  return (
    Object.keys(header).join() === NAMES.join() &&
    isShape(header.image_shape) &&
    isId(header.key_id) &&
    isObject(header.parameters) &&
    typeof header.scheme === "string" &&
    isCount(header.version)
  );
}

function isCount(value) {
  return Number.isSafeInteger(value) && value >= 1 && value < 2 ** 31;
}

function isObject(value) {
  return value?.constructor === Object;
}

/** Parse JSON, and refuse what is not written as the canonical form has it. */
function parseCanonical(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^[\]{}:,"]+/g) ?? [];
  let at = 0;
  const next = () => tokens[at++];
  const expect = (token) => {
    if (next() !== token) throw new NotSealed();
  };

  function value() {
    const token = next();
    if (token === "{") return object();
    if (token === "[") return list();
    if (token[0] === '"') return string(token);
    if (token === "null") return null;
    if (token === "true" || token === "false") return token === "true";
    if (/^(0|-?[1-9]\d*)$/.test(token)) return Number(token);
    if (/^-?(0|[1-9]\d*)(\.\d+)?(e[+-]\d+)?$/.test(token)) return new Real(token);
    throw new NotSealed();
  }

  function object() {
    const found = {};
    let previous = null;
    if (tokens[at] === "}") return next() && found;
    do {
      const name = string(next());
      if (previous !== null && compareCodePoints(previous, name) >= 0) throw new NotSealed();
      expect(":");
      Object.defineProperty(found, name, { value: value(), enumerable: true });
      previous = name;
    } while (tokens[at] === "," && next());
    expect("}");
    return found;
  }

  function list() {
    const found = [];
    if (tokens[at] === "]") return next() && found;
    do found.push(value());
    while (tokens[at] === "," && next());
    expect("]");
    return found;
  }

  const found = value();
  if (at !== tokens.length || tokens.join("") !== text) throw new NotSealed();
  return found;
}

/** A number that is not whole, as the header writes it: none of this reader's business. */
class Real {
  constructor(text) {
    this.text = text;
  }
}

function string(token) {
  const text = JSON.parse(token);
  const escaped = JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  if (typeof text !== "string" || escaped !== token) throw new NotSealed();
  return text;
}
