"""Blocks used on a second stream whose events take a while, so that freed memory stays pending.

Recorded with a pretend GPU whose events become ready only after some queries. While a free is pending its block is
active but not allocated, and new requests need new memory; a failed request waits for all events first.
"""

import random

import torch

from common import DEVICE, MIB, raw


def main():
    choice = random.Random(6)
    side = torch.cuda.Stream()
    alive = []
    for _ in range(700):
        block = raw(choice.choice((choice.randint(200, 4000), choice.randint(MIB, 12 * MIB), choice.randint(12 * MIB, 90 * MIB))))
        if choice.random() < 0.4:
            block.record_stream(side)
        alive.append(block)
        del block
        while len(alive) > 60 or (len(alive) > 20 and choice.random() < 0.4):
            del alive[choice.randrange(len(alive))]
        if choice.random() < 0.1:
            with torch.cuda.stream(side):
                alive.append(torch.zeros(choice.randint(1000, 6_000_000), device=DEVICE))
    return alive


if __name__ == "__main__":
    main()
