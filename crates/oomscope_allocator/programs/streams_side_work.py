"""Two streams that each do work of their own: training on the main one, evaluation of another model on the side.

Each stream keeps its own cache, so that the peak is the sum of two caches although the phases hardly overlap; a
split limit and expandable segments act on each cache alone.
"""

import random

import torch

from common import MIB, Transformer, on_device, raw, token_ids, train_step


def main():
    lengths = random.Random(5)
    model = on_device(lambda: Transformer(layers=1))
    teacher = on_device(lambda: Transformer(layers=2, width=512, heads=8)).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    side = torch.cuda.Stream()
    kept = []
    for step in range(9):
        train_step(model, optimizer, 6, 48 * lengths.randint(4, 20))
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.no_grad():
            logits = teacher(token_ids(4, 48 * lengths.randint(4, 20)))
            kept.append(logits[:, ::8].contiguous())
            scratch = raw(lengths.randint(MIB, 60 * MIB))
            del logits, scratch
        if len(kept) > 5:
            del kept[lengths.randrange(len(kept))]
    return model, teacher, kept


if __name__ == "__main__":
    main()
