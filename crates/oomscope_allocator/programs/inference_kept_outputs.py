"""Inference over growing sequences; a half-precision copy of each batch's logits is kept.

Each copy is cut from a cached block that the next, longer batch would have needed whole. A split limit keeps the
copies out of the big blocks; expandable segments put the remainders to use.
"""

import torch

from common import Transformer, on_device, token_ids


def main():
    model = on_device(lambda: Transformer(vocabulary=24576, width=256, heads=4, layers=2)).eval()
    kept = []
    with torch.no_grad():
        for step in range(30):
            logits = model(token_ids(2, 512 + 40 * step))
            kept.append(logits.to(torch.bfloat16))
            del logits
    return model, kept


if __name__ == "__main__":
    main()
