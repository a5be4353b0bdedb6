"""Networks whose features are easy to foresee, and images for them."""

import numpy as np


class Reader:
    """A cloud half of a network that reads images of any size: the mean of each quarter."""

    def predict(self, X):
        return np.zeros(len(X), int)

    def transform(self, X):
        height, width = X.shape[1] // 2, X.shape[2] // 2
        quarters = [
            X[:, i * height : (i + 1) * height, j * width : (j + 1) * width]
            for i in range(2)
            for j in range(2)
        ]
        return np.stack([q.reshape(len(X), -1).mean(axis=1) for q in quarters], axis=1)


class OtherReader(Reader):
    def transform(self, X):
        return super().transform(X)[:, ::-1] ** 2


X = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)


def normalized(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)
