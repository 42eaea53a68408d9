"""A smaller batch is tried while the exception of the larger one is alive."""

import json

import torch
from torch import nn


def forward(model, x):
    hidden = model(x)
    if hidden.size(0) > 1024:
        raise torch.OutOfMemoryError("too large")
    return hidden


def adaptive(model, x):
    try:
        return forward(model, x)
    except torch.OutOfMemoryError:
        return torch.cat([forward(model, part) for part in x.split(1024)])


model = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(8))).cuda()
adaptive(model, torch.randn(4096, 1024, device="cuda"))
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
