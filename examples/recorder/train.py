"""Train a small classifier and keep the loss on held-out data of every step."""
import torch
import torch.nn as nn
import torch.nn.functional as F

STEPS, BATCH, FEATURES, CLASSES = 60, 2048, 512, 64
device = "cuda"


def batch():
    return torch.randn(BATCH, FEATURES, device=device), torch.randint(CLASSES, (BATCH,), device=device)


def main():
    model = nn.Sequential(
        nn.Linear(FEATURES, 1024), nn.GELU(),
        nn.Linear(1024, 1024), nn.GELU(),
        nn.Linear(1024, CLASSES),
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for step in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        losses.append(loss)
        print(f"step {step:2d} held-out loss {loss.item():.4f}", flush=True)
    print(f"mean held-out loss {sum(losses) / len(losses):.4f}")


if __name__ == "__main__":
    main()
