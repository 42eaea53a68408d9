"""Phases of different shapes of work with an explicit `torch.cuda.empty_cache()` between them.

Only segments that hold nothing are returned: what each phase keeps pins a segment of its own, or part of an
expandable one. Under a split limit less of the cache is cut up, and more of it goes back.
"""

import random

import torch

from common import DEVICE, MIB, ConvolutionalNet, Transformer, on_device, raw, token_ids, train_step


def main():
    choice = random.Random(13)
    model = on_device(lambda: Transformer(layers=2, width=512, heads=8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    kept = []
    for phase in range(4):
        for _ in range(2):
            train_step(model, optimizer, 4 + phase, 16 * choice.randint(16, 60))
            kept.append(raw(choice.randint(MIB // 2, 30 * MIB)))
        torch.cuda.empty_cache()
        for _ in range(25):
            blocks = [raw(choice.randint(MIB, 50 * MIB)) for _ in range(5)]
            kept.append(blocks.pop(choice.randrange(5))) if choice.random() < 0.25 else None
        del blocks
        torch.cuda.empty_cache()
    images = on_device(ConvolutionalNet)
    with torch.no_grad():
        images(torch.empty(8, 3, 900, 1100, device=DEVICE))
        model(token_ids(2, 2000))
    return model, optimizer, images, kept


if __name__ == "__main__":
    main()
