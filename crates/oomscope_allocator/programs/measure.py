"""Runs one program under several allocator configurations and measures each: `measure.py REQUEST`.

REQUEST is a JSON file: the program, the folder for what is written, and the runs (id, conf, fraction, and whether its
snapshot is wanted, "with stacks" or "without stacks"). PyTorch is imported once; every run is then a fork that has not
touched CUDA yet. For each run, ID.json holds the measured values, ID.requests the sequence of requests, and
ID.pickle the snapshot.
"""

import gc
import importlib
import json
import os
import pickle
import sys
import traceback
from pathlib import Path

import torch

MOST_EVENTS = 1_000_000


def main():
    request = json.loads(Path(sys.argv[1]).read_text())
    sys.path.insert(0, str(Path(__file__).parent))
    program = importlib.import_module(request["program"])
    for run in request["runs"]:
        child = os.fork()
        if child == 0:
            os._exit(in_fork(program.main, run, Path(request["out"])))
        os.waitpid(child, 0)


def in_fork(program, run, out):
    try:
        measure(program, run, out)
    except BaseException:
        (out / f"{run['id']}.error").write_text(traceback.format_exc())
        return 1
    return 0


def measure(program, run, out):
    os.environ["PYTORCH_CUDA_ALLOC_CONF"] = run["conf"]
    # A collection at another moment would free at another moment; the programs make no cycles that they need freed.
    gc.collect()
    gc.disable()
    torch.cuda.memory._record_memory_history(max_entries=MOST_EVENTS, context="all", stacks="python")
    available, total = torch.cuda.mem_get_info()
    if run["fraction"] is not None:
        torch.cuda.set_per_process_memory_fraction(run["fraction"])
    alive, failed = None, False
    try:
        alive = program()
        snapshot, stats = torch.cuda.memory._snapshot(), torch.cuda.memory_stats()
    except torch.cuda.OutOfMemoryError:
        # Here, not after the handler: the frames that failed still hold their tensors.
        snapshot, stats, failed = torch.cuda.memory._snapshot(), torch.cuda.memory_stats(), True
    if run["snapshot"]:
        with open(out / f"{run['id']}.pickle", "wb") as file:
            pickle.dump(tidied(snapshot, run["snapshot"]), file)
    trace = snapshot["device_traces"][0]
    (out / f"{run['id']}.requests").write_text("\n".join(requests(trace)))
    measured = {"total": total, "available": available, **values(stats, snapshot), **failures(trace, failed)}
    (out / f"{run['id']}.json").write_text(json.dumps(measured))
    del alive


def values(stats, snapshot):
    trace = snapshot["device_traces"][0]
    return {
        "peak_reserved": stats["reserved_bytes.all.peak"],
        "peak_allocated": stats["allocated_bytes.all.peak"],
        "peak_active": stats["active_bytes.all.peak"],
        "final_reserved": stats["reserved_bytes.all.current"],
        "num_device_alloc": stats["num_device_alloc"],
        "num_device_free": stats["num_device_free"],
        "num_alloc_retries": stats["num_alloc_retries"],
        "num_ooms": stats["num_ooms"],
        "segments": len(snapshot["segments"]),
        "events": len(trace),
    }


def tidied(snapshot, wanted):
    """Without what differs from machine to machine: paths start at the installation, all times are the first."""
    tidied_frames = set()
    events = [event for trace in snapshot["device_traces"] for event in trace]
    blocks = [block for segment in snapshot["segments"] for block in (segment, *segment["blocks"])]
    for holder in (*events, *blocks):
        frames = holder.get("frames") or []
        if id(frames) not in tidied_frames:
            tidied_frames.add(id(frames))
            kept = [] if wanted == "without stacks" else frames
            frames[:] = [frame | {"filename": short(frame["filename"])} for frame in kept]
        if "time_us" in holder:
            holder["time_us"] = events[0]["time_us"]
    return snapshot


def short(filename):
    path = Path(filename)
    if not path.is_absolute():
        return filename
    if path.parent.name == Path(__file__).parent.name:
        return path.name
    known = [path.parts.index(part) for part in ("site-packages", "lib") if part in path.parts]
    start = known[0] if known else -1
    return "/".join(path.parts[start:])


def failures(trace, failed):
    """Where the trace has OOMs that the program caught, and the one that ended it."""
    places = [(place, event) for place, event in enumerate(trace) if event["action"] == "oom"]
    caught = [{"request": requests_before(trace, place), "size": event["size"]} for place, event in places]
    if not failed:
        return {"caught_ooms": caught} if caught else {}
    last = caught.pop()
    return {**({"caught_ooms": caught} if caught else {}), "oom_request": last["request"], "oom_size": last["size"]}


def requests_before(trace, place):
    return sum(event["action"] in ("alloc", "oom") for event in trace[:place])


def requests(trace):
    """The trace as what the program asked for: streams by first use, frees by the request that they undo."""
    streams, alive, count = {}, {}, 0
    for event in trace:
        action = event["action"]
        if action == "alloc":
            stream = streams.setdefault(event["stream"], len(streams))
            alive[event["addr"]] = count
            count += 1
            yield f"alloc {event['size']} {stream}"
        elif action == "oom":
            count += 1
            yield "oom"
        elif action == "free_requested":
            yield f"free {alive.get(event['addr'])}"


if __name__ == "__main__":
    main()
