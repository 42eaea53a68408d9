"""Blocks of 1 to 10 MiB and of 10 to 200 MiB, of odd sizes, that live for random times.

The sizes lie on both sides of every limit: 1 MiB (small pool), 10 MiB (20 MiB segments), 32 and 128 MiB (the split
limits), and the remainders of the big blocks serve the smaller ones for as long as those happen to live.
"""

import random

from common import MIB, raw


def main():
    choice = random.Random(7)
    alive = []
    for _ in range(1100):
        if choice.random() < 0.6:
            size = choice.randint(MIB, 10 * MIB)
        else:
            size = choice.randint(10 * MIB, 200 * MIB) if choice.random() < 0.3 else choice.randint(10 * MIB, 40 * MIB)
        alive.append(raw(size))
        while len(alive) > 110 or (len(alive) > 50 and choice.random() < 0.45):
            del alive[choice.randrange(len(alive))]
    return alive


if __name__ == "__main__":
    main()
