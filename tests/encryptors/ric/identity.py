"""Networks that leave images as they are: what is left is whole numbers."""

import numpy as np


class Identity:
    """In the place of `Networks`."""

    def encode(self, levels):
        return levels / 255

    def decode(self, values, alpha):
        return values.astype(np.float64)


IDENTITY = Identity()
