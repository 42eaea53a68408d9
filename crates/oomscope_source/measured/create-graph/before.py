"""Backward records a graph of the gradients, which keeps them and the activations."""

import json

import torch
import torch.nn.functional as F
from torch import nn


def mlp():
    layers = [nn.Linear(1024, 1024) if n % 2 == 0 else nn.GELU() for n in range(12)]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


def train(model, batches, optimizer):
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward(create_graph=True)
        optimizer.step()


model = mlp().cuda()
x, y = torch.randn(512, 1024, device="cuda"), torch.zeros(512, dtype=torch.long, device="cuda")
train(model, [(x, y)] * 3, torch.optim.SGD(model.parameters(), lr=0.1))
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
