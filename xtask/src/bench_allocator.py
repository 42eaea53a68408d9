"""Replays requests on PyTorch's allocator and times the loop alone: `KIND FILE`.

KIND is `tensors` (torch.empty and del), `raw` (the allocator's own calls) or `nothing` (the loop).
FILE has a line for each request, `a SLOT BYTES STREAM`, and each free, `f SLOT`.
"""

import gc
import sys
import time

import torch


def steps_of(path, streams):
    steps = []
    for line in open(path):
        word, slot, *rest = line.split()
        if word == "a":
            size, stream = int(rest[0]), int(rest[1])
            while len(streams) <= stream:
                streams.append(torch.cuda.Stream())
            steps.append((int(slot), size, streams[stream]))
        else:
            steps.append((int(slot), None, None))
    return steps


def tensors(steps, live):
    empty, set_stream, current = torch.empty, torch.cuda.set_stream, None
    for slot, size, stream in steps:
        if size is None:
            live[slot] = None
        else:
            if stream is not current:
                set_stream(stream)
                current = stream
            live[slot] = empty(size, dtype=torch.uint8, device="cuda")


def raw(steps, live):
    alloc = torch._C._cuda_cudaCachingAllocator_raw_alloc
    delete = torch._C._cuda_cudaCachingAllocator_raw_delete
    steps = [(slot, size, stream and stream.cuda_stream) for slot, size, stream in steps]
    gc.collect()
    start = time.perf_counter()
    for slot, size, stream in steps:
        if size is None:
            delete(live[slot])
        else:
            live[slot] = alloc(size, stream)
    return time.perf_counter() - start


def nothing(steps, live):
    for slot, size, stream in steps:
        live[slot] = size


def main():
    kind, path = sys.argv[1:]
    torch.cuda.init()
    streams = [torch.cuda.default_stream()]
    steps = steps_of(path, streams)
    live = [None] * (1 + max(slot for slot, _, _ in steps))
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    seconds = {"tensors": tensors, "raw": raw, "nothing": nothing}[kind](steps, live)
    if seconds is None:
        seconds = time.perf_counter() - start
    stats = torch.cuda.memory_stats()
    print(seconds, stats.get("reserved_bytes.all.peak", 0), torch.__version__)
    sys.stdout.flush()
    # Without the teardown of millions of blocks.
    __import__("os")._exit(0)


main()
