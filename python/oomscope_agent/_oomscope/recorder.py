"""What one process records, from its first use of the device to its end.

The hooks go into torch once; a forked child keeps them and gets a new recorder.
"""

import atexit
import os
import sys

from . import hooks
from .counters import Counters
from .failures import Failures
from .history import History
from .marker import Marker
from .options import Options
from .peers import await_peers
from .records import Records, plain
from .snapshots import Snapshots
from .steps import Steps
from .watcher import Watcher


class Recorder:
    """Writes nothing before `device_is_ready`, unless an exception goes uncaught."""

    def __init__(self, torch, options, native):
        self.torch = torch
        self.options = options
        self.native = native
        self.records = Records(options.run_directory, torch)
        self.failures = Failures(self.records)
        self.history = History(torch, options, self.records)
        self.counters = None
        self.steps = None
        self.snapshots = None
        self.marker = None
        self.watcher = None
        self.ended = False
        self.statm = -1

    def device_is_ready(self):
        """Torch has initialised the device; called once, by torch."""
        if self.counters is not None:
            return
        count = self.torch._C._cuda_getDeviceCount()
        counters = Counters(self.native["_cuda_memoryStats"], self.native["_cuda_resetPeakMemoryStats"], count)
        self.records.open()
        for device in range(count):
            self.records.write("device", **self.device_facts(device))
        self.record_history()
        self.open_statm()
        self.snapshots = Snapshots(self.torch, self.records, self.options.max_disk)
        if self.options.snapshots != "none":
            self.failures.snapshots = self.snapshots
        self.steps = Steps(self.records, counters, self.options.max_steps, self.rss, self.at_limit)
        if self.options.step_marker:
            self.marker = Marker(self.options.step_marker, hooks.guarded_hook(hooks.marker_returned))
            self.marker.look()
        self.counters = counters
        hooks.watch_excepthooks()
        hooks.watch_out_of_memory(self.torch)
        if not self.records.silent:
            self.watcher = Watcher(self, self.options.sample_seconds, self.records.problem)
            self.watcher.start()

    def record_history(self):
        try:
            self.history.begin()
        except Exception as error:  # Not every allocator has a history.
            self.records.problem("history: %s: %s" % (type(error).__name__, error))

    def look_for_marker(self):
        if self.marker is not None:
            self.marker.look()

    def device_facts(self, device):
        facts = self.torch.cuda.get_device_properties(device)
        uuid = getattr(facts, "uuid", None)
        return {
            "device": device,
            "name": plain(facts.name),
            "total": facts.total_memory,
            "capability": "%d.%d" % (facts.major, facts.minor),
            "uuid": None if uuid is None else str(uuid),
            "driver": driver_version(),
        }

    def driver_memory(self, device):
        """Free and total; asked only where this process has a context, for asking makes one."""
        has_context = getattr(self.torch._C, "_cuda_hasPrimaryContext", None)
        if has_context is None or not has_context(device):
            return {}
        free, total = self.torch.cuda.cudart().cudaMemGetInfo(device)
        return {"free": free, "total": total}

    def open_statm(self):
        try:
            self.statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, AttributeError):
            self.statm = -1

    def rss(self):
        if self.statm < 0:
            return None
        return int(os.pread(self.statm, 256, 0).split()[1]) * PAGE

    def at_limit(self, source):
        """Ends the program after the steps that were asked for."""
        if source != "marker" and self.marker is not None and self.marker.found:
            return
        if source == "backward" and hooks.an_optimizer_exists(self.torch):
            return
        if int(os.environ.get("WORLD_SIZE") or 1) > 1:
            self.torch.cuda.synchronize()  # Our part in the last collective must be done.
        self.end("steps")
        await_peers(self.options.run_directory)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(0)

    def end(self, reason):
        """Writes the last record; a process that used no device and failed not has none."""
        if self.ended:
            return
        self.failures.look_for_uncaught()
        if not self.records.is_open:
            return
        self.ended = True
        if self.watcher is not None:
            self.watcher.stop()
        if self.failures.has_uncaught:
            reason = "exception"
        if self.marker is not None and not self.marker.found:
            self.records.problem("step marker %s: not found" % self.options.step_marker)
        step = devices = None
        if self.counters is not None:
            step, devices = self.steps.count, self.counters.now()
            if self.options.snapshots == "all" and reason != "exception":
                self.snapshots.dump("exit.pickle", "exit", step)
        self.records.write("end", durable=True, reason=reason, step=step, devices=devices)

    def forget(self):
        """A forked child: the parent's files and thread are not its own."""
        self.records.forget()
        if self.statm >= 0:
            os.close(self.statm)
            self.statm = -1


PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

current = None


def install(torch):
    """Called when torch has been imported, once for a process and its forks."""
    global current
    if current is not None:
        return
    options = Options()
    current = Recorder(torch, options, hooks.native_functions(torch))
    hooks.install(torch)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin_anew)
    atexit.register(at_exit)


def begin_anew():
    global current
    try:
        parent = current
        current = Recorder(parent.torch, parent.options, parent.native)
        parent.forget()
    except Exception:
        pass


def at_exit():
    try:
        current.end("exit")
    except Exception as error:
        current.records.problem("end: %s: %s" % (type(error).__name__, error))


def driver_version():
    """The kernel module's, as `nvidia-smi` shows it."""
    try:
        with open("/proc/driver/nvidia/version") as file:
            words = file.readline().split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and "." in word), None)
