"""A diagonal matrix is made to scale rows."""

import json

import torch


def scale(weights, features):
    return weights.unsqueeze(-1) * features


weights = torch.randn(4096, device="cuda", requires_grad=True)
scale(weights, torch.randn(4096, 256, device="cuda")).sum().backward()
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
