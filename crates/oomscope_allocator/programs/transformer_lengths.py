"""Trains a transformer with plain SGD on batches whose sequence length changes at every step.

Every length asks for activations of other sizes, so cached blocks seldom fit again: expandable segments reuse the
space, rounding makes neighbouring lengths share sizes, and a split limit keeps big blocks from being cut up.
"""

import random

import torch

from common import Transformer, on_device, train_step


def main():
    lengths = random.Random(1)
    model = on_device(lambda: Transformer(layers=3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [train_step(model, optimizer, 8, 64 * lengths.randint(3, 16)) for _ in range(7)]
    return model, losses


if __name__ == "__main__":
    main()
