"""What the recorder costs a training step: the same steps with and without it, in turns.

    PRETEND_GPU python overhead.py [ROUNDS] [OPERATIONS]

A step is an optimizer's step after work on the device of OPERATIONS small operations, each of
which allocates, and as much work on the host as fills 50 ms. The device's part is timed apart and
as CPU time of all threads, so that noise does not hide what the recorder adds to it; a device
would let a part of that pass unseen. The options are those of `oomscope run`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AGENT = Path(__file__).resolve().parents[1]
STEPS, WARM_UP = 60, 10
STEP_SECONDS = 0.050


def main(rounds=10, operations=300):
    pairs = []
    for turn in range(rounds):
        order = (False, True) if turn % 2 else (True, False)
        pairs.append({recorded: measure(recorded, operations) for recorded in order})
    report(pairs, operations)


def measure(recorded, operations):
    """The median seconds of a step's device part, and of the whole step, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if recorded:
            environment["OOMSCOPE_RUN_DIR"] = folder
            environment["OOMSCOPE_AGENT_OPTIONS"] = '{"context": "alloc"}'
            environment["PYTHONPATH"] = str(AGENT)
        command = [sys.executable, __file__, "--steps", str(operations)]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
        found = list(Path(folder).glob("*/records.jsonl"))
        steps = found and sum('"kind":"step"' in line for line in found[0].open())
        assert bool(steps) == recorded, "the recorder was to be there, or was not"
    return json.loads(output)


def train(operations):
    import torch

    torch.set_num_threads(1)
    matrix = torch.ones(512, 512)
    weight = torch.zeros(4096, device="cuda", requires_grad=True)
    optimizer = torch.optim.AdamW([weight])
    device_part, whole = [], []
    for _ in range(STEPS):
        begin, busy = time.perf_counter(), time.process_time()
        deeper(operations // 2, weight).backward()
        optimizer.step()
        optimizer.zero_grad()
        middle, spent = time.perf_counter(), time.process_time() - busy
        # A step of the same length on any machine, with and without the recorder.
        host = 0.0
        while host < STEP_SECONDS:
            matrix @ matrix
            host = time.perf_counter() - middle
        device_part.append(spent)
        whole.append(time.perf_counter() - begin)
    print(json.dumps([statistics.median(part[WARM_UP:]) for part in (device_part, whole)]))


def deeper(operations, value, depth=20):
    """Under as many frames as a model has."""
    if depth:
        return deeper(operations, value, depth - 1)
    for _ in range(operations):
        value = value * 1.5  # and as many operations in its backward
    return value.sum()


def report(pairs, operations):
    plain = statistics.median(pair[False][0] for pair in pairs)
    extra = [pair[True][0] - pair[False][0] for pair in pairs]
    ratios = [pair[True][1] / pair[False][1] for pair in pairs]
    print(f"{operations} operations a step, {len(pairs)} pairs of {STEPS - WARM_UP} steps")
    print(f"device part     {plain * 1e3:.2f} ms, with the recorder {statistics.median(extra) * 1e3:+.2f} ms")
    print(f"of a 50 ms step {statistics.median(extra) / STEP_SECONDS:.2%}")
    print(f"steps as timed  {statistics.median(pair[False][1] for pair in pairs) * 1e3:.2f} ms, "
          f"ratio {statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps"]:
        train(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
