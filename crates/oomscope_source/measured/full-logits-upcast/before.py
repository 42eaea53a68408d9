"""Logits over the vocabulary are copied to float32 for the loss."""

import json

import torch
import torch.nn.functional as F


def loss_of(hidden, weight, labels):
    logits = F.linear(hidden, weight)
    return F.cross_entropy(logits.float().view(-1, logits.size(-1)), labels.view(-1))


hidden = torch.randn(2, 1024, 512, device="cuda", dtype=torch.bfloat16, requires_grad=True)
weight = torch.randn(32768, 512, device="cuda", dtype=torch.bfloat16, requires_grad=True)
loss_of(hidden, weight, torch.zeros(2, 1024, dtype=torch.long, device="cuda")).backward()
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
