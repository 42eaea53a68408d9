"""Finds its batch size by failing: starts with one that no device can hold and then smaller ones until a step succeeds.

The first failure happens on every device, so that the recorded trace itself has a failed request and the emptied
cache that it leaves behind. On a small device one more failure follows, and from there the requests differ.
"""

import random

import torch

from common import MIB, Transformer, on_device, raw, train_step


def main():
    lengths = random.Random(14)
    model = on_device(lambda: Transformer(layers=2, width=512, heads=8))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=False)
    kept = [raw(lengths.randint(MIB, 15 * MIB)) for _ in range(20)]
    del kept[::2]
    batch = first_that_fits(model, optimizer, 65536)
    for _ in range(6):
        train_step(model, optimizer, batch, 16 * lengths.randint(12, 40))
        kept.append(raw(lengths.randint(MIB, 15 * MIB)))
    return model, optimizer, kept


def first_that_fits(model, optimizer, batch):
    while True:
        try:
            train_step(model, optimizer, batch, 640)
            return batch
        except torch.cuda.OutOfMemoryError:
            batch = 6 if batch > 1000 else max(1, batch // 2)
        optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
