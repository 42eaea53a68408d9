"""Running out of memory, and exceptions that nobody caught."""

import sys
import time
import traceback

from .guard import without_own_frames
from .records import plain
from .sources import Sources

AGAIN_SECONDS = 60  # between the dumps of failures that the program survives
TEXT_LIMIT = 64 << 10

OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class Failures:
    """`records`, and `snapshots` once the device is in use."""

    def __init__(self, records):
        self.records = records
        self.sources = Sources(records)
        self.snapshots = None
        self.ooms = 0
        self.dumped_at = None
        self.newest = None
        # What a parent left behind is not ours to tell.
        self.told = identity(last_exception())
        self.has_uncaught = False

    def out_of_memory(self, device, requested, total, free, step):
        """Called by the allocator before it raises, with none of its locks held."""
        self.ooms += 1
        name = "oom-%d.pickle" % self.ooms if self.dump_is_due() else None
        self.records.write(
            "oom",
            durable=True,
            n=self.ooms,
            device=device,
            requested=requested,
            total=total,
            free=free,
            step=step,
            snapshot=name,
        )
        self.sources.tell()
        if name and self.snapshots.dump(name, "oom", step):
            self.dumped_at = time.monotonic()
            if self.newest is not None:
                self.snapshots.drop(self.newest)
            if name != self.snapshots.first_failure:
                self.newest = name

    def dump_is_due(self):
        if self.snapshots is None:
            return False
        return self.dumped_at is None or time.monotonic() - self.dumped_at >= AGAIN_SECONDS

    def look_for_uncaught(self):
        """Python keeps what it handed to the excepthook, whoever set that hook."""
        error = last_exception()
        if error is not None:
            self.uncaught(error)

    def uncaught(self, error):
        """An exception that ends the program, told once."""
        key = identity(error)
        if key == self.told or isinstance(error, SystemExit):
            return
        self.told = key
        self.has_uncaught = True
        self.record(error)

    def record(self, error):
        kind = type(error)
        module = "" if kind.__module__ == "builtins" else kind.__module__ + "."
        frames = without_own_frames(error.__traceback__)
        text = "".join(traceback.format_exception(kind, error, frames))
        self.records.write(
            "exception",
            durable=True,
            type=plain(module + kind.__qualname__),
            message=plain(message_of(error))[:TEXT_LIMIT],
            traceback=plain(text)[-TEXT_LIMIT:],
            is_oom=is_oom(error),
        )
        self.sources.tell()


def identity(error):
    """Names an exception without keeping it, its frames and their tensors alive."""
    return None if error is None else (id(error), type(error).__name__)


def last_exception():
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def message_of(error):
    try:
        return str(error)
    except Exception:
        return ""


def is_oom(error):
    """Whether it, or what it was raised from, says that the device's memory ran out."""
    for _ in range(10):
        if error is None:
            return False
        if type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(text in message_of(error) for text in OUT_OF_MEMORY):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
