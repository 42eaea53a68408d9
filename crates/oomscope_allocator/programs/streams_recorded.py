"""Batches are made on a side stream, used on the main one under `record_stream`, and sized anew each time.

A block belongs to the stream that it was first made on: neither stream can use what the other has cached, and a
recorded block is returned only once an event has passed, at the next request.
"""

import random

import torch

from common import DEVICE, ConvolutionalNet, on_device


def main():
    sizes = random.Random(4)
    model = on_device(lambda: ConvolutionalNet(channels=(3, 48, 96)))
    side = torch.cuda.Stream()
    for _ in range(28):
        height, width = 16 * sizes.randint(20, 60), 16 * sizes.randint(20, 60)
        with torch.cuda.stream(side):
            raw_images = torch.empty(8, 3, height, width, dtype=torch.uint8, device=DEVICE)
            images = (raw_images.float() / 255 - 0.5) / 0.25
        torch.cuda.current_stream().wait_stream(side)
        images.record_stream(torch.cuda.current_stream())
        del raw_images
        scores = model(images)
        del images
        scores.sum().backward()
        model.zero_grad(set_to_none=True)
    return model


if __name__ == "__main__":
    main()
