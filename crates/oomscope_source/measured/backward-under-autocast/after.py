"""Backward runs inside the autocast block."""

import json

import torch
import torch.nn.functional as F
from torch import nn


def train(model, batches, optimizer):
    for x, y in batches:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


model = nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(8))).cuda()
x, y = torch.randn(64, 2048, device="cuda"), torch.zeros(64, dtype=torch.long, device="cuda")
train(model, [(x, y)] * 3, torch.optim.SGD(model.parameters(), lr=0.1))
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
