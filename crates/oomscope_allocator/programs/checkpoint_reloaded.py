"""Loads a checkpoint beside the live model, copies it over, frees it, and trains on; twice.

For a while everything exists twice. The checkpoint's blocks are as big as the parameters, so that activations are
then cut out of them, and the second checkpoint no longer finds them whole.
"""

import random

import torch

from common import Transformer, on_device, train_step


def main():
    lengths = random.Random(17)
    model = on_device(lambda: Transformer(layers=2, width=1024, heads=16))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(3):
        losses += [train_step(model, optimizer, 5, 16 * lengths.randint(12, 56)) for _ in range(2)]
        checkpoint = {name: torch.empty_like(value) for name, value in model.state_dict().items()}
        model.load_state_dict(checkpoint)
        halves = {name: value.half() for name, value in checkpoint.items()}
        del checkpoint
        losses += [train_step(model, optimizer, 5, 16 * lengths.randint(12, 56))]
        del halves
    return model, optimizer, losses


if __name__ == "__main__":
    main()
