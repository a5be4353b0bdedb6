"""Tiny networks with random weights: they need no training to be read like any other."""

import torch
from torch import nn

SHAPE = (8, 8, 3)


def tiny_cnn(n_classes=4, seed=0):
    """From floats on [0, 1], (n, 3, 8, 8), to logits that spread by some units."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128, n_classes),
        )
        network(torch.rand(64, 3, 8, 8))  # gives the batch normalization some statistics
    network[-1].weight.data *= 60
    return network.eval()
