"""A perceptron with squares in the place of ReLU, on CKKS ciphertexts, as CryptoNets."""

import json
import sys
import time

import numpy as np
import tenseal


def main(path: str) -> None:
    """Read weights and images, classify under encryption, print JSON."""
    given = np.load(path)
    first, first_bias, last, last_bias = (
        given[name].tolist() for name in ("first", "first_bias", "last", "last_bias")
    )
    start = time.perf_counter()
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[40, 26, 26, 26, 26, 40]
    )
    context.global_scale = 2**26
    context.generate_galois_keys()
    context.generate_relin_keys()
    keygen = time.perf_counter() - start
    public = tenseal.context_from(context.serialize(save_secret_key=False))
    scores, client, server, up, down = [], 0.0, 0.0, 0, 0
    for image in given["images"]:
        start = time.perf_counter()
        sent = tenseal.ckks_vector(context, image.tolist()).serialize()
        client += time.perf_counter() - start
        start = time.perf_counter()
        received = tenseal.ckks_vector_from(public, sent)
        hidden = received.mm(first) + first_bias
        hidden.square_()
        answer = (hidden.mm(last) + last_bias).serialize()
        server += time.perf_counter() - start
        start = time.perf_counter()
        scores.append(tenseal.ckks_vector_from(context, answer).decrypt())
        client += time.perf_counter() - start
        up, down = len(sent), len(answer)
    n = len(given["images"])
    found = {
        "scores": np.array(scores).tolist(),
        "client_s": client / n,
        "server_s": server / n,
        "up": up,
        "down": down,
        "keys": len(context.serialize(save_secret_key=False)),
        "keygen_s": keygen,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
