"""Train a classifier with a consistency term that joins the loss after a warm-up."""
import torch
import torch.nn as nn
import torch.nn.functional as F

STEPS, WARMUP, BATCH, FEATURES, CLASSES = 40, 30, 6144, 1024, 512
device = "cuda"


class Classifier(nn.Module):
    def __init__(self, hidden=2048):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(),
        )
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, x):
        return self.head(self.body(x))


def batch():
    x = torch.randn(BATCH, FEATURES, device=device)
    y = torch.randint(CLASSES, (BATCH,), device=device)
    return x, y


def main():
    model = Classifier().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    consistency_sum = 0.0
    for step in range(STEPS):
        x, y = batch()
        logits = model(x)
        noisy_logits = model(x + 0.1 * torch.randn_like(x))
        consistency = F.mse_loss(noisy_logits, logits.detach())
        loss = F.cross_entropy(logits, y)
        if step >= WARMUP:
            loss = loss + 0.5 * consistency
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        consistency_sum += consistency
        print(f"step {step:2d} loss {loss.item():.4f} "
              f"mean consistency {consistency_sum / (step + 1):.4f} "
              f"allocated {torch.cuda.memory_allocated() / 2**20:.0f} MiB", flush=True)
    print(f"done, peak allocated {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


if __name__ == "__main__":
    torch.cuda.memory._record_memory_history(max_entries=10000, stacks="python")
    try:
        main()
    except torch.OutOfMemoryError:
        torch.cuda.memory._dump_snapshot("snapshot.pickle")
        raise
