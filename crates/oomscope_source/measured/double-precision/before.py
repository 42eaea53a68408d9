"""A model is trained in float64."""

import json

import torch
import torch.nn.functional as F
from torch import nn


def train(model, batches, optimizer):
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.set_default_dtype(torch.float64)
model = nn.Sequential(nn.Linear(1024, 1024), nn.GELU(), nn.Linear(1024, 10)).cuda()
x, y = torch.randn(4096, 1024, device="cuda"), torch.zeros(4096, dtype=torch.long, device="cuda")
train(model, [(x, y)] * 3, torch.optim.Adam(model.parameters()))
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
