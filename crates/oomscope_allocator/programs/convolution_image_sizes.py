"""Trains a convolutional net on images whose height and width change at every step.

Without cuDNN each convolution unfolds one image at a time into a large temporary, so that every image size brings
blocks of its own, from under a mebibyte to hundreds.
"""

import random

import torch
from torch.nn import functional as F

from common import DEVICE, ConvolutionalNet, on_device


def main():
    sizes = random.Random(3)
    model = on_device(ConvolutionalNet)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(24):
        height, width = 32 * sizes.randint(8, 40), 32 * sizes.randint(8, 40)
        images = torch.empty(6, 3, height, width, device=DEVICE)
        labels = torch.zeros(6, dtype=torch.long, device=DEVICE)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    main()
