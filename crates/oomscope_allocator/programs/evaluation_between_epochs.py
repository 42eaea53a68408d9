"""Epochs of training with an evaluation between them, on other batch sizes and longer sequences.

What evaluation leaves in the cache does not fit training and the other way round, and the metrics that evaluation
keeps lie where it had its activations.
"""

import random

import torch

from common import MIB, Transformer, on_device, raw, token_ids, train_step


def main():
    lengths = random.Random(8)
    model = on_device(lambda: Transformer(layers=2, width=640, heads=10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    metrics = []
    for _ in range(3):
        for _ in range(2):
            train_step(model, optimizer, 8, 8 * lengths.randint(24, 90))
        model.eval()
        with torch.no_grad():
            for _ in range(3):
                logits = model(token_ids(3, 8 * lengths.randint(60, 230)))
                metrics.append(logits.argmax(-1))
                metrics.append(raw(lengths.randint(MIB, 9 * MIB)))
                del logits
        model.train()
    return model, optimizer, metrics


if __name__ == "__main__":
    main()
