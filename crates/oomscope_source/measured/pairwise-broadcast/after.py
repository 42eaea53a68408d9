"""Distances of all pairs are made by broadcasting."""

import json

import torch


def nearest(features, codes):
    distances = torch.cdist(features, codes)
    return distances.min(dim=1)


features = torch.randn(2048, 64, device="cuda", requires_grad=True)
nearest(features, torch.randn(512, 64, device="cuda")).values.sum().backward()
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
