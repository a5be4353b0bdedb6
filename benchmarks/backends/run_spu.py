"""A convolutional network on secret shares between two parties, by Cheetah.

Both parties are threads of one process, with a link in memory: bytes are counted, and a network's
delay is not. Images and weights are shared; SPU logs what it has sent.
"""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import spu.utils.simulation as simulation
from spu import libspu


def network(images, kernel, bias, first, first_bias, last, last_bias):
    """Compute the scores: a convolution, ReLU, a layer, ReLU, a layer."""
    x = jax.lax.conv_general_dilated(
        images, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jnp.maximum(x + bias, 0).reshape(len(images), -1)
    return jnp.maximum(x @ first + first_bias, 0) @ last + last_bias


def main(path: str) -> None:
    """Read weights and images, classify on shares, print JSON after SPU's log."""
    given = np.load(path)
    names = ("kernel", "bias", "first", "first_bias", "last", "last_bias")
    config = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.CHEETAH, field=libspu.FieldType.FM64)
    config.enable_pphlo_profile = True
    simulator = simulation.Simulator(2, config)
    compute = simulation.sim_jax(simulator, network)
    images = given["images"]
    start = time.perf_counter()
    scores = np.asarray(compute(images, *(given[name] for name in names)))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    compute(images[:1], *(given[name] for name in names))
    found = {
        "scores": scores.tolist(),
        "seconds": seconds / len(images),
        "seconds_of_one": time.perf_counter() - start,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
