"""How networks are trained: devices, randomness, batches, recipes, the loop, checkpoints."""

from ricsk._publish import publish
from ricsk.training._augmentation import Augmentation, Recipe
from ricsk.training._batches import Batches, Prepare
from ricsk.training._checkpoint import Checkpoint, fingerprint
from ricsk.training._device import find_device, find_device_again, find_half_precision
from ricsk.training._loop import check_finite, train_network
from ricsk.training._randomness import OwnRandomness, draw_seed, make_random_state
from ricsk.training._recipes import OPTIMIZERS, SCHEDULES, Optimizer, make_schedule
from ricsk.training._weights import load_weights, save_weights

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Augmentation",
    "Batches",
    "Checkpoint",
    "Optimizer",
    "OwnRandomness",
    "Prepare",
    "Recipe",
    "check_finite",
    "draw_seed",
    "find_device",
    "find_device_again",
    "find_half_precision",
    "fingerprint",
    "load_weights",
    "make_random_state",
    "make_schedule",
    "save_weights",
    "train_network",
]

publish(globals())
