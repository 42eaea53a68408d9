"""Train a small transformer language model, then measure its loss on the validation set."""
import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, DIM, HEADS, LAYERS, CONTEXT = 2048, 512, 8, 4, 512
device = "cuda"


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, -1))
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln2(x))


def make_model():
    return nn.Sequential(nn.Embedding(VOCAB, DIM), *(Block() for _ in range(LAYERS)), nn.LayerNorm(DIM), nn.Linear(DIM, VOCAB))


def loss_on_batch(model, batch_size):
    tokens = torch.randint(VOCAB, (batch_size, CONTEXT + 1), device=device)
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def evaluate(model, batches=3, batch_size=32):
    model.eval()
    total = 0.0
    for _ in range(batches):
        total += loss_on_batch(model, batch_size).item()
    return total / batches


def main():
    model = make_model().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        loss = loss_on_batch(model, 8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f} allocated {torch.cuda.memory_allocated() / 2**20:.0f} MiB", flush=True)
    print(f"validation loss {evaluate(model):.4f}")
    print(f"done, peak allocated {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


if __name__ == "__main__":
    torch.cuda.memory._record_memory_history(max_entries=10000, stacks="python")
    try:
        main()
    except torch.OutOfMemoryError:
        torch.cuda.memory._dump_snapshot("snapshot.pickle")
        raise
