// Why a file does not open, in words that say no more than the file's own public part does.

const MESSAGE = "wrong key, damaged, or not sealed with ricsk";

/** What does not open, whatever is wrong with it. `hint` is what anybody can see in the file. */
export class NotSealed extends Error {
  outcome = "refused";
  constructor(hint) {
    super(hint ? `It does not open: ${MESSAGE}. ${hint}` : `It does not open: ${MESSAGE}.`);
  }
}

export class NewerFormat extends Error {
  outcome = "newer";
  constructor(what) {
    super(`${what} of a later version of ricsk. Build this page from that version.`);
  }
}

export class WrongKey extends Error {
  outcome = "wrong key";
}

/** What was given as a key is none. Its text is never repeated. */
export class NotAKey extends Error {}
