"""An optimizer updates all parameters at once."""

import json

import torch
from torch import nn


model = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(16))).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=True)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(8, 1024, device="cuda")).sum().backward()
    optimizer.step()
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
