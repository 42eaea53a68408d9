"""Records what PyTorch's own allocator does with the programs: `record.py plan`, `record.py run --out FOLDER`.

`plan` finds, with one PyTorch, the capacities and fractions at which each program becomes interesting, and writes
them to plan.json. `run` runs each program under every setting, several times with different address layouts, and
writes NAME.oomscope (the default run's snapshot) and NAME.json (what every setting led to). `table` prints what is recorded.
See README.md for the environment variables that say where PyTorch and the pretend GPU are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
PLAN = HERE / "plan.json"
NOT_PROGRAMS = {"common", "measure", "record"}

MIB = 1 << 20
AMPLE_MIB = 40960
CONTEXT_MIB = 400

# How a process is started, so that its mappings lie elsewhere: twice at random, once fixed, once from the bottom up.
LAYOUTS = {
    "random": [],
    "random again": [],
    "fixed": ["setarch", "-R"],
    "bottom up": ["setarch", "-R", "-L"],
}

UNLIMITED = {
    "default": "",
    "expandable": "expandable_segments:True",
    "max_split_32": "max_split_size_mb:32",
    "max_split_128": "max_split_size_mb:128",
    "max_split_512": "max_split_size_mb:512",
    "roundup_4": "roundup_power2_divisions:4",
    "roundup_list": "roundup_power2_divisions:[256:2,512:4,1024:8,>:1]",
}
FRACTIONS = {
    "collect_60": "garbage_collection_threshold:0.6",
    "max_split_128_collect_80": "max_split_size_mb:128,garbage_collection_threshold:0.8",
}
CAPACITIES = {
    "retries": ("retries", ""),
    "tight": ("tight", ""),
    "oom": ("oom", ""),
    "oom_expandable": ("oom", "expandable_segments:True"),
    "oom_max_split_128": ("oom", "max_split_size_mb:128"),
}

# Environment of the pretend GPU that a program needs.
PENDING_FREES = {"streams_pending_frees": {"VGPU_EVENT_LAG": "6"}}
# Programs that need a newer PyTorch than the oldest.
NEEDS = {"memory_pool": (2, 6)}


def main():
    arguments = parse_arguments()
    if arguments.verb == "table":
        return print_table(arguments.out)
    version = torch_version()
    programs = [name for name in arguments.programs or all_programs() if NEEDS.get(name, (0, 0)) <= major_minor(version)]
    plan = json.loads(PLAN.read_text()) if PLAN.exists() else {}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(arguments.jobs) as pool:
        if arguments.verb == "plan":
            for name, made in zip(programs, pool.map(lambda name: plan_program(name, Path(scratch)), programs)):
                plan[name] = made
                print(name, made, flush=True)
            PLAN.write_text(json.dumps(plan, indent=1, sort_keys=True) + "\n")
            return
        arguments.out.mkdir(parents=True, exist_ok=True)
        layouts = {layout: LAYOUTS[layout] for layout in arguments.layouts.split(",")}
        snapshot = f"{arguments.stacks} stacks"
        record = lambda name: record_program(name, plan[name], version, snapshot, layouts, arguments.out, Path(scratch))
        for name, summary in zip(programs, pool.map(record, programs)):
            print(name, summary, flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["plan", "run", "table"])
    parser.add_argument("programs", nargs="*", help="names of programs; all without any")
    parser.add_argument("--out", type=Path, help="the folder of the results")
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="the address layouts, the first being `random`")
    parser.add_argument("--stacks", choices=["with", "without"], default="with", help="what the snapshots keep")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    arguments = parser.parse_args()
    if arguments.verb != "plan" and arguments.out is None:
        parser.error(f"`{arguments.verb}` needs --out")
    return arguments


def all_programs():
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_PROGRAMS)


def torch_version():
    asked = [os.environ["OOMSCOPE_TORCH_PYTHON"], "-c", "import importlib.metadata as m; print(m.version('torch'))"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def major_minor(version):
    return tuple(int(part) for part in version.split(".")[:2])


# Planning: where is each program interesting?


def plan_program(name, scratch):
    """Capacities (MiB of device) just below, at and above the least that suffices, and fractions that collect."""
    ample = probe(name, AMPLE_MIB, scratch)
    needed, comfortable = ample["peak_allocated"] // MIB, ample["peak_reserved"] // MIB
    # The least capacity that suffices, to a 32nd of the range; retries and success are not quite monotonic.
    fails, works = CONTEXT_MIB + needed // 2, CONTEXT_MIB + comfortable
    seen = {}
    while works - fails > max(2, (comfortable - needed // 2) // 32):
        middle = (fails + works) // 4 * 2
        seen[middle] = probe(name, middle, scratch)
        if ended_early(seen[middle], ample):
            fails = middle
        else:
            works = middle
    retries = some_retries(name, works, CONTEXT_MIB + comfortable, ample, scratch)
    fraction = lambda mib: round(mib / AMPLE_MIB, 6)
    return {
        "retries": retries,
        "tight": works,
        "oom": fails,
        "collect_60": fraction(comfortable * 1.04),
        "max_split_128_collect_80": fraction((works - CONTEXT_MIB + comfortable) / 2),
    }


def some_retries(name, works, comfortable, ample, scratch):
    """A capacity in the middle between `works` and `comfortable` with retries but no failure; else `works`."""
    for quarters in (2, 1, 3):
        total_mib = (works + (comfortable - works) * quarters // 4) // 2 * 2
        probed = probe(name, total_mib, scratch)
        if probed["num_alloc_retries"] > ample["num_alloc_retries"] and not ended_early(probed, ample):
            return total_mib
    return works


def ended_early(probed, ample):
    """Whether the program failed where it did not with ample memory, even if it went on afterwards."""
    return "oom_request" in probed or probed["num_ooms"] > ample["num_ooms"]


def probe(name, total_mib, scratch):
    run = {"id": f"probe{total_mib}", "conf": "", "fraction": None, "snapshot": None}
    return measure(name, total_mib, [run], [], scratch / name)[run["id"]][0]


# Recording.


def record_program(name, plan, version, snapshot, layouts, out, scratch):
    passes = {
        layout: run_pass(name, plan, snapshot, command, scratch / f"{name}-{layout}") for layout, command in layouts.items()
    }
    reference = passes["random"]
    device = reference["default"][0]
    settings = {
        setting: described(setting, plan, {layout: measured[setting] for layout, measured in passes.items()}, reference)
        for setting in reference
    }
    layout = settings["default"].get("layouts", list(layouts))[0]
    pickle = scratch / f"{name}-{layout}" / "default.pickle"
    convert = [os.environ.get("OOMSCOPE", "oomscope"), "snapshot", "convert", pickle, "--to", "compact", "--force"]
    subprocess.run([*convert, "-o", out / f"{name}.oomscope"], check=True)
    written = {
        "program": name,
        "torch": version,
        "environment": PENDING_FREES.get(name, {}),
        "layouts": list(layouts),
        "device": {"total": device["total"], "context": CONTEXT_MIB * MIB, "available": device["available"]},
        "settings": settings,
    }
    (out / f"{name}.json").write_text(readable(written))
    dependent = [setting for setting, value in settings.items() if value["address_dependent"]]
    return f"{device['events']} events" + (f", depends on addresses: {', '.join(dependent)}" if dependent else "")


def readable(written):
    """JSON with a line for each field and each setting."""
    head = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in written.items() if key != "settings"]
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in written["settings"].items()]
    return "\n".join(["{", *head, ' "settings": {', ",\n".join(lines), " }", "}"]) + "\n"


def run_pass(name, plan, snapshot, layout, scratch):
    """Every setting once: a process for each capacity, since the pretend GPU's size is fixed when it is loaded."""
    ample = [job(setting, conf, None) for setting, conf in UNLIMITED.items()]
    ample[0]["snapshot"] = snapshot
    ample += [job(setting, conf, plan[setting]) for setting, conf in FRACTIONS.items()]
    measured = measure(name, AMPLE_MIB, ample, layout, scratch)
    for capacity in dict.fromkeys(capacity for capacity, _ in CAPACITIES.values()):
        runs = [job(setting, conf, None) for setting, (at, conf) in CAPACITIES.items() if at == capacity]
        measured |= measure(name, plan[capacity], runs, layout, scratch)
    return measured


def job(setting, conf, fraction):
    return {"id": setting, "conf": conf, "fraction": fraction, "snapshot": None}


def measure(name, total_mib, runs, layout, scratch):
    """Runs the program once for each of `runs` on a device of this size; the measured values and the requests."""
    scratch.mkdir(parents=True, exist_ok=True)
    request = scratch / f"request{total_mib}.json"
    request.write_text(json.dumps({"program": name, "out": str(scratch), "runs": runs}))
    environment = os.environ | {
        "VGPU_TOTAL_MB": str(total_mib),
        "VGPU_CONTEXT_MB": str(CONTEXT_MIB),
        "VGPU_EVENT_LAG": "0",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **PENDING_FREES.get(name, {}),
    }
    python = [os.environ["OOMSCOPE_TORCH_PYTHON"], "-W", "ignore", str(HERE / "measure.py"), str(request)]
    subprocess.run([*layout, os.environ["OOMSCOPE_VGPU_RUN"], *python], check=True, env=environment)
    return {run["id"]: result(run["id"], scratch) for run in runs}


def result(setting, scratch):
    error = scratch / f"{setting}.error"
    if error.exists():
        sys.exit(f"{scratch.name}, {setting}: {error.read_text()}")
    measured = json.loads((scratch / f"{setting}.json").read_text())
    return measured, (scratch / f"{setting}.requests").read_text().split("\n")


def described(setting, plan, by_layout, reference):
    """The result that most layouts agree on, and the others where there are any."""
    counted = {}
    for layout, (measured, asked) in by_layout.items():
        values = {key: value for key, value in measured.items() if key not in ("total", "available", "events")}
        values["same_requests"] = same_requests(asked, reference["default"][1])
        counted.setdefault(json.dumps(values), []).append(layout)
    agreed, *others = sorted(counted, key=lambda values: -len(counted[values]))
    fraction = plan[setting] if setting in FRACTIONS else None
    at, conf = CAPACITIES.get(setting, (None, (UNLIMITED | FRACTIONS).get(setting)))
    total_mib = plan[at] if at else AMPLE_MIB
    capacity = (total_mib - CONTEXT_MIB) * MIB
    if fraction is not None:
        capacity = min(capacity, int(fraction * total_mib * MIB))
    differing = {"layouts": counted[agreed]} if others else {}
    return {
        "conf": conf,
        "fraction": fraction,
        "total": total_mib * MIB,
        "capacity": capacity,
        **json.loads(agreed),
        "address_dependent": bool(others),
        **differing,
        **({"others": [{"layouts": counted[other], **json.loads(other)} for other in others]} if others else {}),
    }


def same_requests(asked, reference):
    """Whether the same was asked for, up to the first failure that the default run does not have."""
    for one, other in zip(asked, reference):
        if one != other:
            return one == "oom"
    # Nothing differs: what is missing can only have been cut off by a failure, which is then the last but for frees.
    return len(asked) == len(reference)


# Reading what is recorded.


def print_table(out):
    """Peaks of reserved memory in MiB: `*` depends on addresses, `x` ended by an OOM, `r` freed its cache."""
    for path in sorted(out.glob("*.json")):
        recorded = json.loads(path.read_text())
        cells = [f"{setting} {cell(value)}" for setting, value in recorded["settings"].items()]
        print(f"{path.stem}: allocated {recorded['settings']['default']['peak_allocated'] // MIB}; {', '.join(cells)}")


def cell(value):
    marks = ("x" if "oom_request" in value else "r" if value["num_alloc_retries"] else "") + "*" * value["address_dependent"]
    return f"{value['peak_reserved'] // MIB}{marks}"


if __name__ == "__main__":
    main()
