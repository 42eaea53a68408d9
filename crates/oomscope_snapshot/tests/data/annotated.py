"""Records annotated.pickle: three steps of a small network with named ranges and metadata.

    python annotated.py annotated.pickle   (PyTorch 2.15, on a pretend device)
"""
import torch, torch.nn as nn, sys
torch.cuda.memory._record_memory_history(max_entries=100000, stacks="python")
from torch.profiler import record_function
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(256, 1024), nn.Linear(1024, 256)
    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
    def forward(self, x):
        with record_function("blocks"):
            for block in self.blocks:
                x = block(x)
        return x.mean()
def main():
    net = Net().cuda()
    optimizer = torch.optim.Adam(net.parameters())
    for step in range(3):
        if hasattr(torch.cuda.memory, "_set_memory_metadata"):
            torch.cuda.memory._set_memory_metadata(f"step {step}")
        with record_function("step"):
            x = torch.randn(512, 256).cuda()
            with record_function("forward"):
                loss = net(x)
            with record_function("backward"):
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.cuda.memory._dump_snapshot(sys.argv[1])
main()
