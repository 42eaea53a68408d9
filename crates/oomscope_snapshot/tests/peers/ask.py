"""What another tool says of snapshots: one line of JSON for each file, or why it failed.

    python ask.py memory_viz _memory_viz.py FILE...
    python ask.py mosaic CHECKOUT FILE...

Both tools unpickle what they read: only ever give them files of our own.
"""

import ast
import collections
import contextlib
import importlib.util
import io
import json
import pickle
import re
import sys

# What `trace` prints for an action: the last number is the size.
TRACE_LINES = {
    "alloc": re.compile(r"^\w+ = .*\[-?\d+:(\d+)\]$"),
    "free_requested": re.compile(r"^del .* # (\d+)$"),
    "free_completed": re.compile(r"^# free completed for .* (\d+)$"),
    "segment_alloc": re.compile(r"^\w+ = cudaMalloc\(\d+, (\d+)\)$"),
    "segment_free": re.compile(r"^cudaFree\(.*\) # (\d+)$"),
    "oom": re.compile(r"^raise OutOfMemoryError # (\d+) requested, \d+ free in CUDA$"),
}


def load_memory_viz(path):
    spec = importlib.util.spec_from_file_location("memory_viz", path)
    viz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(viz)
    # Exact figures and whole frames instead of `1.2GiB` and a file's last name.
    viz._format_size = str
    viz._frame_filter = lambda name, filename: True
    viz._frame_fmt = lambda f, full=False: f"{f['filename']}:{f['line']}:{f['name']}"
    return viz


def sums(text, parts=-1):
    """Flame graph lines, `part;part;... bytes`, summed by the first parts."""
    total = collections.Counter()
    for line in text.splitlines():
        stack, _, size = line.rpartition(" ")
        total[stack if parts < 0 else ";".join(stack.split(";", parts)[:parts])] += int(size)
    return total


def statistics(text):
    """The figures below the picture that `stats` prints."""
    found = re.findall(r"^(segments|total_\w+): (\d+)", text, re.MULTILINE)
    return {name: int(figure) for name, figure in found}


def actions(text):
    """By device: how many events of each action, and their bytes."""
    devices = {}
    for line in text.splitlines():
        # The line before has no end of its own: `TOTAL MEM: 512Device 1 -----`.
        head = re.search(r"Device (\d+) -+$", line)
        if head:
            device = devices[head.group(1)] = collections.defaultdict(lambda: [0, 0])
            continue
        if line.endswith(" entries"):
            device["entries"][0] = int(line.split()[0])
            continue
        if line.startswith("{"):
            event = ast.literal_eval(line)
            action, size = event["action"], event.get("size", 0)
        else:
            matches = ((action, pattern.match(line)) for action, pattern in TRACE_LINES.items())
            hit = next(((action, m) for action, m in matches if m), None)
            if hit is None:
                continue
            action, size = hit[0], int(hit[1].group(1))
        device[action][0] += 1
        device[action][1] += size
    return devices


def unfreed(viz, data):
    """By device: what was handed out in the trace and never taken back, by stack."""
    with contextlib.redirect_stdout(io.StringIO()):
        data = viz.filter_alloc_free_pairs(data)
    devices = {}
    for device, events in enumerate(data["device_traces"]):
        total = collections.Counter()
        for event in events:
            if event["action"] == "alloc":
                frames = viz._frames_fmt(event.get("frames", []), reverse=True)
                total[";".join(frames) or "<non-python>"] += event["size"]
        if events:
            devices[device] = total
    return devices


def ask_memory_viz(viz, path):
    with open(path, "rb") as file:
        data = pickle.load(file)
    return {
        "segments": sums(viz.segments(data, lambda text: text), parts=3),
        "memory": sums(viz.memory(data, lambda text: text)),
        "allocated": [viz.calc_active(segment) for segment in data["segments"]],
        "statistics": statistics(viz.segsum(data)),
        "actions": actions(viz.trace(data)),
        "unfreed": unfreed(viz, data),
    }


def ask_mosaic(path):
    from mosaic.libmosaic.analyzer.memory_abstract import MemoryAbstract

    abstract = MemoryAbstract(memory_snapshot_file=path)
    abstract.load_memory_snapshot()
    snapshot = abstract.memory_snapshot
    snapshot.analyze_memory_snapshot(opt="memory_peak")
    stacks = collections.Counter()
    for event in snapshot.call_stack_hash_set.values():
        lines = [f"{frame['filename']}{frame['line']}" for frame in event.call_stack]
        stacks["\n".join(lines)] += event.mem_size
    return {
        "dynamic": snapshot.dynamic_memory_peak,
        "static": snapshot.static_memory,
        "address": snapshot.max_allocation_info.addr,
        "stacks": stacks,
    }


def main():
    tool, path, *files = sys.argv[1:]
    if tool == "memory_viz":
        viz = load_memory_viz(path)
        ask = lambda file: ask_memory_viz(viz, file)
    else:
        sys.path.insert(0, path)
        ask = ask_mosaic
    for file in files:
        try:
            said = ask(file)
        except Exception as error:
            said = {"failure": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


main()
