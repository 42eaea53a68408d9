"""Train a gated recurrent forecaster on time-series windows of several lengths."""
import torch
import torch.nn as nn
import torch.nn.functional as F

HIDDEN, INPUT = 1024, 64
TIME_STEPS = 140000                   # batch size x window length: the same amount of work in every batch
WINDOWS = [6, 6, 8, 8, 6, 11, 11, 8, 6]
device = "cuda"


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(INPUT + HIDDEN, HIDDEN)
        self.cell = nn.Linear(INPUT + HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, INPUT)

    def forward(self, windows):
        length, batch, _ = windows.shape
        h = windows.new_zeros(batch, HIDDEN)
        for t in range(length):
            inputs = torch.cat([windows[t], h], dim=1)
            h = torch.lerp(h, torch.tanh(self.cell(inputs)), torch.sigmoid(self.gate(inputs)))
        return self.out(h)


def train_step(model, optimizer, length):
    batch = TIME_STEPS // length
    windows = torch.randn(length, batch, INPUT, device=device)
    target = torch.randn(batch, INPUT, device=device)
    loss = F.mse_loss(model(windows), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return batch, loss.item()


def main():
    model = Forecaster().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for step, length in enumerate(WINDOWS):
        batch, loss = train_step(model, optimizer, length)
        print(f"step {step} window {length:2d} batch {batch:5d} loss {loss:.4f} "
              f"allocated {torch.cuda.memory_allocated() / 2**20:.0f} MiB "
              f"reserved {torch.cuda.memory_reserved() / 2**20:.0f} MiB", flush=True)
    print(f"done, peak allocated {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


if __name__ == "__main__":
    torch.cuda.memory._record_memory_history(max_entries=10000, stacks="python")
    try:
        main()
    except torch.OutOfMemoryError:
        torch.cuda.memory._dump_snapshot("snapshot.pickle")
        raise
