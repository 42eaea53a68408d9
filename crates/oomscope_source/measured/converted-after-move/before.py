"""A model is moved in float32 and halved on the device."""

import json

import torch
from torch import nn


def load():
    model = nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(8)))
    return model.cuda().half()


load()
print(json.dumps({"peak": torch.cuda.max_memory_allocated()}))
