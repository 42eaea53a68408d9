"""Captures two CUDA graphs, each with a private pool, then a third that shares a pool, and goes on with ordinary work.

Memory of a private pool serves nothing else for as long as the graph lives; the ordinary work afterwards frees one
graph half-way, so that its segments can be returned.
"""

import random

import torch

from common import MIB, Transformer, language_loss, on_device, raw, token_ids, train_step


def captured(model, batch, length, pool=None):
    ids = token_ids(batch, length)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        model(ids)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph, pool=pool):
        logits = model(ids)
    return graph, ids, logits


def main():
    lengths = random.Random(9)
    model = on_device(lambda: Transformer(layers=2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = captured(model, 4, 512)
    second = captured(model, 4, 768)
    third = captured(model, 4, 640, pool=second[0].pool())
    kept = []
    for step in range(6):
        train_step(model, optimizer, 6, 40 * lengths.randint(5, 24))
        kept.append(raw(lengths.randint(MIB, 20 * MIB)))
        second[0].replay()
        if step == 3:
            first[0].reset()
            first = None
    with torch.no_grad():
        language_loss(model, 8, 1000)
    return model, first, second, third, kept


if __name__ == "__main__":
    main()
