"""Generates text with a key-value cache that is grown by `torch.cat` at every token, for requests of several lengths.

Every token copies each layer's cache into a block a little bigger than the last, so that the freed ones never fit;
rounding to divisions of powers of two lets many steps share one size.
"""

import random

import torch

from common import DEVICE


LAYERS, WIDTH, BATCH = 4, 1024, 16


def generate(prompt, tokens):
    caches = [torch.empty(BATCH, prompt, 2 * WIDTH, dtype=torch.float16, device=DEVICE) for _ in range(LAYERS)]
    for _ in range(tokens):
        x = torch.empty(BATCH, 1, WIDTH, dtype=torch.float16, device=DEVICE)
        for layer, cache in enumerate(caches):
            caches[layer] = torch.cat([cache, torch.cat([x, x], -1)], 1)
            x = x + 1
    return caches


def main():
    prompts = random.Random(11)
    kept = []
    for _ in range(5):
        kept.append(generate(prompts.randint(200, 1500), prompts.randint(12, 40)))
        if len(kept) > 3:
            del kept[prompts.randrange(len(kept))]
    return kept


if __name__ == "__main__":
    main()
