"""Trains a transformer with Adam; gradients accumulate over three micro-batches of different lengths.

The optimiser's state is made after the first backward pass, between activations that are about to die, and gradients
live across micro-batches: long-lived blocks end up in the middle of segments that lengths would otherwise reuse.
"""

import random

import torch

from common import Transformer, language_loss, on_device


def main():
    lengths = random.Random(2)
    model = on_device(lambda: Transformer(layers=2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        for _ in range(3):
            (language_loss(model, 6, 32 * lengths.randint(6, 34)) / 3).backward()
        optimizer.step()
    return model, optimizer


if __name__ == "__main__":
    main()
