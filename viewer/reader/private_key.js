// Key pairs: private keys, which open what was sealed to their public key, and keys of signers.

import { x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "./bytes.js";
import { dhkem, openBase } from "./hpke.js";

/** Key encapsulation by kind: its number in HPKE, its lengths, and how its private keys work. */
export const KEMS = {
  X25519: {
    id: 0x0020,
    encapsulated: 32,
    publicKey: (secret) => x25519.getPublicKey(secret),
    decapsulate: dhkem,
  },
  "MLKEM768-X25519": {
    id: 0x647a,
    encapsulated: 1120,
    publicKey: (seed) => ml_kem768_x25519.keygen(seed).publicKey,
    decapsulate: (encapsulated, seed) => ml_kem768_x25519.decapsulate(encapsulated, seed),
  },
};

export class PrivateKey {
  #bytes;

  constructor(kind, bytes) {
    this.kind = kind;
    this.#bytes = bytes;
    this.publicKey = KEMS[kind].publicKey(bytes);
    this.fingerprint = fingerprint(`RICSK-PUBLIC-${kind}-`, this.publicKey);
  }

  get encapsulated() {
    return KEMS[this.kind].encapsulated;
  }

  /** What was sealed to this key by HPKE in base mode; an error if it was not. */
  open(slot, info) {
    const { id, encapsulated, decapsulate } = KEMS[this.kind];
    const secret = decapsulate(slot.subarray(0, encapsulated), this.#bytes, this.publicKey);
    return openBase(id, secret, info, slot.subarray(encapsulated));
  }
}

/** The public key by which a signer's images are known. */
export class VerifyingKey {
  constructor(bytes) {
    this.bytes = bytes;
    this.fingerprint = fingerprint("RICSK-VERIFYING-ED25519-", bytes);
  }
}

function fingerprint(mark, bytes) {
  return bytesToHex(sha256(concatBytes(utf8ToBytes(mark), bytes)).subarray(0, 16));
}
