"""What the programs share: models made on the device, their batches, and one training step.

Nothing here depends on values or on the allocator's state, so that a program asks for the same memory in the same
order under every allocator configuration.
"""

import torch
from torch import nn
from torch.nn import functional as F

torch.backends.cudnn.enabled = False  # its workspaces would depend on the installed library

MIB = 1 << 20
DEVICE = "cuda"


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_in = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mid = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.shrink = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.query_key_value(self.norm_in(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query @ key.transpose(-1, -2)) * (width // self.heads) ** -0.5
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, width)
        x = x + self.project(mixed)
        return x + self.shrink(F.gelu(self.expand(self.norm_mid(x))))


class Transformer(nn.Module):
    """A small language model; `blocks` is public, so that a program can run them in its own way."""

    def __init__(self, vocabulary=16384, width=768, heads=12, layers=3, longest=4096):
        super().__init__()
        self.vocabulary = vocabulary
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def embed(self, ids):
        return self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class ConvolutionalNet(nn.Module):
    """Strided convolutions over images of any size."""

    def __init__(self, channels=(3, 32, 64, 128), classes=1000):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(into, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU())
            for into, out in zip(channels, channels[1:])
        )
        self.head = nn.Linear(channels[-1], classes)

    def forward(self, images):
        for stage in self.stages:
            images = stage(images)
        return self.head(images.mean((2, 3)))


def on_device(build):
    """Builds a module with its parameters made on the device."""
    with torch.device(DEVICE):
        return build()


def token_ids(batch, length):
    return torch.zeros(batch, length, dtype=torch.long, device=DEVICE)


def language_loss(model, batch, length):
    logits = model(token_ids(batch, length))
    return F.cross_entropy(logits.view(-1, model.vocabulary), token_ids(batch, length).view(-1))


def train_step(model, optimizer, batch, length):
    optimizer.zero_grad(set_to_none=True)
    loss = language_loss(model, batch, length)
    loss.backward()
    optimizer.step()
    return loss.detach()


def raw(bytes_):
    """A block of exactly this many requested bytes."""
    return torch.empty(bytes_, dtype=torch.uint8, device=DEVICE)
