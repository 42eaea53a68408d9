"""Keeps some tensors in a `torch.cuda.MemPool` of their own while training goes on outside it. Needs PyTorch 2.6.

A pool's memory is apart from the rest even when it is cached: what the pool frees does not serve training, and what
a failed request may release includes it only once nothing uses the pool.
"""

import random

import torch

from common import MIB, Transformer, on_device, raw, train_step


def main():
    choice = random.Random(15)
    model = on_device(lambda: Transformer(layers=2, width=640, heads=10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pool = torch.cuda.MemPool()
    inside, outside = [], []
    for _ in range(6):
        with torch.cuda.use_mem_pool(pool):
            inside += [raw(choice.randint(300_000, 40 * MIB)) for _ in range(25)]
            for _ in range(18):
                del inside[choice.randrange(len(inside))]
        train_step(model, optimizer, 6, 24 * choice.randint(10, 40))
        outside += [raw(choice.randint(300_000, 12 * MIB)) for _ in range(25)]
        for _ in range(15):
            del outside[choice.randrange(len(outside))]
    return model, pool, inside, outside


if __name__ == "__main__":
    main()
