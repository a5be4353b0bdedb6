"""How networks are trained: batches, augmentation, optimizers, schedules, checkpoints."""

from ricsk._publish import publish
from ricsk.training._augmentation import Augmentation, Recipe
from ricsk.training._checkpoint import Checkpoint, fingerprint
from ricsk.training._recipes import OPTIMIZERS, SCHEDULES, Batches, Net, make_schedule

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Augmentation",
    "Batches",
    "Checkpoint",
    "Net",
    "Recipe",
    "fingerprint",
    "make_schedule",
]

publish(globals())
