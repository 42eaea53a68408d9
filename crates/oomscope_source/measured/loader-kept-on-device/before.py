"""All batches of a loader are moved to the device at once."""

import json

import torch
from torch import nn


@torch.no_grad()
def total(model, loader):
    model.eval()
    batches = [x.to("cuda") for x in loader]
    return sum(model(x).sum().item() for x in batches)


model = nn.Linear(1024, 10).cuda()
total(model, [torch.randn(1024, 1024) for _ in range(32)])
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
