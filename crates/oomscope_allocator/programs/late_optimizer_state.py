"""Fine-tunes in stages: more and more layers are unfrozen, and each new one gets its gradients and state late.

State that comes into being in the middle of training is cut out of cached activation blocks and never leaves them:
the classic way to pin big segments. A split limit sends it elsewhere.
"""

import random

import torch

from common import Transformer, on_device, train_step


def main():
    lengths = random.Random(16)
    model = on_device(lambda: Transformer(layers=3, width=896, heads=14, vocabulary=12000))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parts = [model.head, *reversed(model.blocks)]
    for stage, part in enumerate(parts):
        for parameter in part.parameters():
            parameter.requires_grad_(True)
        for _ in range(2):
            train_step(model, optimizer, 5, 16 * lengths.randint(20, 64) + 64 * stage)
    return model, optimizer


if __name__ == "__main__":
    main()
