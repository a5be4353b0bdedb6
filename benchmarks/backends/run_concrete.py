"""A network of signs under TFHE, one programmable bootstrap for each hidden neuron."""

import json
import sys
import time

import numpy as np
from concrete import fhe


def main(path: str) -> None:
    """Read weights and images, classify under encryption, print JSON."""
    given = np.load(path)
    weights, thresholds, last = given["weights"], given["thresholds"], given["last"]
    images = given["images"]  # 0 and 1
    # With x = 2b - 1, the sum of w·x reaches t where that of w·b reaches (t + sum of w) / 2.
    limits = -((-thresholds - weights.sum(axis=1)) // 2)

    def network(bits):
        return last @ ((weights @ bits - limits >= 0) * 1)

    samples = [*given["samples"].astype(np.int64)]
    circuit = fhe.Compiler(network, {"bits": "encrypted"}).compile(
        samples, p_error=1e-3 / len(weights)
    )
    start = time.perf_counter()
    circuit.keygen()
    keygen = time.perf_counter() - start
    sums, client, server = [], 0.0, 0.0
    for image in images.astype(np.int64):
        start = time.perf_counter()
        encrypted = circuit.encrypt(image)
        sent = time.perf_counter()
        answer = circuit.run(encrypted)
        received = time.perf_counter()
        sums.append((2 * circuit.decrypt(answer) - last.sum(axis=1)).tolist())
        client += sent - start + time.perf_counter() - received
        server += received - sent
    n = len(images)
    found = {
        "sums": sums,
        "client_s": client / n,
        "server_s": server / n,
        "up": circuit.size_of_inputs,
        "down": circuit.size_of_outputs,
        "keys": circuit.size_of_bootstrap_keys + circuit.size_of_keyswitch_keys,
        "keygen_s": keygen,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
