"""Makes `pytester` and, where it is not installed, the plugin available."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True, scope="session")
def torch_is_whole():
    """`pytester` forgets what is first imported inside it, and torch cannot be imported twice."""
    try:
        import torch
    except Exception:
        return
    weight = torch.zeros(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.Adam([weight]).step()
