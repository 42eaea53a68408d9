"""Trains with activation checkpointing: each block's activations are freed in forward and made again in backward.

The kept inputs of the blocks lie between the holes that the recomputed activations must fit into, for lengths that
change at every step.
"""

import random

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from common import Transformer, on_device, token_ids


def checkpointed_loss(model, batch, length):
    x = model.embed(token_ids(batch, length))
    for block in model.blocks:
        x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
    logits = model.head(model.norm(x))
    return F.cross_entropy(logits.view(-1, model.vocabulary), token_ids(batch, length).view(-1))


def main():
    lengths = random.Random(10)
    model = on_device(lambda: Transformer(layers=3, vocabulary=8192))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=False)
    for _ in range(4):
        optimizer.zero_grad(set_to_none=True)
        checkpointed_loss(model, 8, 24 * lengths.randint(12, 48)).backward()
        optimizer.step()
    return model, optimizer


if __name__ == "__main__":
    main()
