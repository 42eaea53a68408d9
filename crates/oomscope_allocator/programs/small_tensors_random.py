"""Thousands of tensors from 1 byte to 1 MiB, freed in random order, with a few large ones between them.

The small pool takes 2 MiB segments and splits down to 512 bytes; rounding to divisions changes small sizes most, and
expandable segments keep one range for all of them. Sizes near 1 MiB lie on the border between the pools.
"""

import random

from common import MIB, raw


def main():
    choice = random.Random(12)
    alive = []
    for _ in range(1300):
        alive.append(raw(small(choice) if choice.random() < 0.93 else choice.randint(20 * MIB, 180 * MIB)))
        if len(alive) > 400:
            for _ in range(choice.randint(0, 2)):
                del alive[choice.randrange(len(alive))]
    for _ in range(len(alive) // 2):
        del alive[choice.randrange(len(alive))]
    alive += [raw(small(choice)) for _ in range(300)]
    return alive


def small(choice):
    return choice.choice((choice.randint(1, 2000), choice.randint(2000, 70_000), choice.randint(70_000, MIB + 5000)))


if __name__ == "__main__":
    main()
