"""`@pytest.mark.gpu_memory(max="2GiB", growth="0B/step")`: GPU memory as part of a test.

Reads PyTorch's own counters, which are exact and cost nothing; changes nothing that the test
sees. What they show is judged by `oomscope verify`. Which line holds the memory is another
question: `oomscope run -- pytest ...` answers it.
"""

import gc
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

import pytest

UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", re.IGNORECASE)
PER_STEP = re.compile(r"\s*/\s*step\s*$")

LIMITS = pytest.StashKey()
WATCH = pytest.StashKey()


# What pytest calls, in its order.


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "gpu_memory(max=None, growth=None): fail when a device's allocated peak exceeds `max` "
        '("2GiB"), or when what is left after a step grows by more than `growth` ("0B/step").',
    )


def pytest_collection_modifyitems(items):
    """Wrong limits are found on machines without a GPU, too."""
    for item in items:
        try:
            item.stash[LIMITS] = limits_of(item)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{item.nodeid}: gpu_memory: {error}") from None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    limits = item.stash.get(LIMITS, {})
    if not limits and "gpu_memory" not in getattr(item, "fixturenames", ()):
        return
    reason = why_not()
    if reason:
        pytest.skip(f"gpu_memory: {reason}")
    if "growth" in limits and judge() is None:
        pytest.fail(f"gpu_memory: {NO_JUDGE}", pytrace=False)
    item.stash[WATCH] = Watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    watch = item.stash.get(WATCH, None)
    if watch is None:
        return (yield)
    try:
        with watch:
            result = yield
    except BaseException:
        item.add_report_section("call", "gpu memory", "\n".join(watch.table() + advice(item)))
        raise
    for device, peak in watch.peaks.items():
        item.user_properties.append((f"gpu_memory_peak_{device}", peak))
    faults = watch.faults(**item.stash.get(LIMITS, {}))
    if faults:
        pytest.fail("\n".join([*faults, *watch.table(), *advice(item)]), pytrace=False)
    return result


@pytest.fixture
def gpu_memory(request):
    """`gpu_memory.step()` ends a step, where no optimizer does or a better place is known."""
    return request.node.stash[WATCH]


# What is asked for.


def limits_of(item):
    """The marker's limits in bytes; the closest marker that states one counts."""
    limits = {}
    for marker in item.iter_markers("gpu_memory"):
        stated = stated_limits(*marker.args, **marker.kwargs)
        limits = {**stated, **limits}
    return limits


def stated_limits(max=None, growth=None):
    if max is None and growth is None:
        raise ValueError('states neither `max="2GiB"` nor `growth="0B/step"`')
    limits = {}
    if max is not None:
        limits["max"] = parse_size(max)
    if growth is not None:
        limits["growth"] = parse_size(PER_STEP.sub("", growth) if isinstance(growth, str) else growth)
    return limits


def parse_size(text):
    """Bytes of "2GiB", "512 MB", "1.5g" or a number: powers of 1024 however spelt."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size; write it as '2GiB'")
    return int(float(match[1]) * UNITS[match[2].upper()])


def why_not():
    """Why nothing can be measured here, if so."""
    try:
        import torch
    except Exception as error:
        return f"PyTorch cannot be imported: {error}"
    if not torch.cuda.is_available():
        return "PyTorch sees no GPU"
    return None


# What is measured.


class Watch:
    """The counters of every visible device between the start of a test and its end."""

    def __init__(self):
        import torch

        self.torch = torch
        self.optimizer = None
        self.by_optimizer = []
        self.by_hand = []
        self.peaks = {}
        self.held = {}
        self.judged = []
        self.start()

    def start(self):
        # A test that forks must find CUDA as untouched as it would be without us.
        if self.torch.cuda.is_initialized():
            gc.collect()  # What an earlier test left in cycles is not this one's.
            self.held = self.read(self.torch.cuda.memory_allocated)
            for device in self.held:
                self.torch.cuda.reset_peak_memory_stats(device)

    def __enter__(self):
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.hook = register_optimizer_step_post_hook(self.optimizer_stepped)
        return self

    def __exit__(self, *error):
        self.hook.remove()
        self.peaks = {
            device: peak
            for device, peak in self.read(self.torch.cuda.max_memory_allocated).items()
            if peak
        }

    def read(self, counter):
        if not self.torch.cuda.is_initialized():
            return {}
        return {device: counter(device) for device in range(self.torch.cuda.device_count())}

    def step(self):
        """Ends a step. Once it is called, optimizers no longer do."""
        self.by_hand.append(self.read(self.torch.cuda.memory_allocated))

    def optimizer_stepped(self, optimizer, *_):
        # Of several optimizers the first one ends the step, as long as it lives.
        if self.optimizer is None or self.optimizer() is None:
            self.optimizer = weakref.ref(optimizer)
        if self.optimizer() is optimizer:
            self.by_optimizer.append(self.read(self.torch.cuda.memory_allocated))

    @property
    def steps(self):
        return self.by_hand or self.by_optimizer

    def faults(self, max=None, growth=None):
        """What is wrong, a line each."""
        faults = []
        for device, peak in self.peaks.items():
            if max is not None and peak > max:
                faults.append(
                    f"GPU {device}: the peak of {size(peak)} exceeds max={size(max)} "
                    f"by {size(peak - max)}"
                )
        if growth is None:
            return faults
        if not self.steps:
            return [*faults, f"growth cannot be judged: no step ended; {HOW_STEPS_END}"]
        self.judged = judged("marker" if self.by_hand else "optimizer", self.steps)
        for device in self.judged:
            faults.extend(fault_of(device, growth))
        return faults

    def table(self):
        """What was seen on each device, a line each."""
        lines = []
        for device, peak in self.peaks.items():
            line = f"  GPU {device}: peak {size(peak)}"
            if self.held.get(device):
                line += f", of which {size(self.held[device])} before the test"
            if self.steps:
                last = self.steps[-1].get(device, 0)
                line += f"; {size(last)} after step {len(self.steps)}"
            lines.append(line)
        for device in self.judged:
            lines.extend(f"  because {reason}" for reason in device["evidence"])
        return lines or ["  no GPU memory was used"]


# What is judged, by `oomscope verify`.


def judge():
    """The `oomscope` command, if it is there."""
    return os.environ.get("OOMSCOPE") or shutil.which("oomscope")


def judged(source, steps):
    """The devices of a verification of these steps, as `oomscope verify --format json` has them."""
    # In a folder of its own: a budget file of the project is not about single tests.
    with tempfile.TemporaryDirectory(prefix="pytest-oomscope-") as run:
        write_run(Path(run), source, steps)
        command = [judge(), "verify", "--recorded", run, "--format", "json"]
        try:
            ended = subprocess.run(command, cwd=run, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            return json.loads(ended.stdout)["devices"]
        except OSError as error:
            pytest.fail(f"gpu_memory: cannot run {command[0]}: {error}", pytrace=False)
        except (ValueError, KeyError):
            said = ended.stderr.strip() or f"exit code {ended.returncode}"
            pytest.fail(f"gpu_memory: `{shlex.join(command)}`: {said}", pytrace=False)


def write_run(run, source, steps):
    """A run directory, as `docs/run-directory.md` of oomscope lays it out."""
    now = time.time()
    info = {
        "schema_version": 1, "id": run.name, "verb": "pytest", "command": ["pytest"],
        "cwd": str(run), "started": now, "exit_code": 0, "version": "",
    }
    (run / "run.json").write_text(json.dumps(info))
    records = [{"kind": "start", "t": now, "schema_version": 1, "pid": os.getpid()}]
    for number, floors in enumerate(steps, 1):
        devices = [{"device": device, "allocated": floor} for device, floor in floors.items()]
        records.append({"kind": "step", "t": now, "step": number, "source": source, "devices": devices})
    process = run / f"p{os.getpid()}"
    process.mkdir()
    (process / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def fault_of(device, allowed):
    """What is wrong with one device's steps, if anything."""
    name, verdict, slope = device["device"], device["verdict"], device.get("slope")
    if verdict == "growing" and slope is not None and slope["bytes_per_step"] > allowed:
        rise = size(slope["bytes_per_step"])
        yield f"GPU {name}: memory grows by {rise} per step, growth={size(allowed)}/step is allowed"
    elif verdict == "too_short":
        more = device.get("more_steps")
        more = f"{more} more may settle it" if more else "more are needed"
        yield f"GPU {name}: growth cannot be judged: {device['steps']} steps, {more}; {HOW_STEPS_END}"


NO_JUDGE = (
    "growth is judged by the `oomscope` command, which is not on PATH; "
    "install it, or name it in the variable OOMSCOPE"
)
HOW_STEPS_END = "an optimizer's step ends one, or `gpu_memory.step()`"


# What is said.


def advice(item):
    command = shlex.join(["oomscope", "run", "--", "pytest", item.nodeid])
    return [f"hint: `{command}` records which line holds it; `oomscope runs` lists what was recorded"]


def size(count):
    """As PyTorch prints it."""
    magnitude = abs(count)
    for unit, bytes in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if magnitude >= bytes:
            return f"{count / bytes:.2f} {unit}"
    return f"{count:g} bytes"
