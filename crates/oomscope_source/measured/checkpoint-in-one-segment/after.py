"""The whole model is one checkpoint."""

import json

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


def train(model, batches, optimizer):
    for x, y in batches:
        optimizer.zero_grad()
        out = x
        for block in model:
            out = checkpoint(block, out, use_reentrant=False)
        F.cross_entropy(out, y).backward()
        optimizer.step()


layers = [nn.Sequential(nn.Linear(512, 512), nn.GELU(), nn.Linear(512, 512)) for _ in range(16)]
model = nn.Sequential(*layers).cuda()
x, y = torch.randn(4096, 512, device="cuda"), torch.zeros(4096, dtype=torch.long, device="cuda")
train(model, [(x, y)] * 3, torch.optim.SGD(model.parameters(), lr=0.1))
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
