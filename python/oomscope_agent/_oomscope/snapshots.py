"""Dumps of the allocator's state, within the disk budget."""

import gc
import os
import pickle
import time


class OverBudget(Exception):
    pass


class Snapshots:
    """Never deletes the first failure's dump; otherwise the oldest goes first."""

    def __init__(self, torch, records, max_disk):
        self.torch = torch
        self.records = records
        self.max_disk = max_disk
        self.sizes = {}
        self.first_failure = None

    def dump(self, name, reason, step):
        """Writes `name` and its record; says whether the file is there."""
        if self.records.silent:
            return False
        path = os.path.join(self.records.folder, name)
        started = time.monotonic()
        try:
            size = self.write(path + ".part")
            os.rename(path + ".part", path)
        except Exception as error:
            remove(path + ".part")
            self.records.problem("snapshot %s: %s: %s" % (name, type(error).__name__, error))
            return False
        if reason == "oom" and self.first_failure is None:
            self.first_failure = name
        self.sizes[name] = size
        self.make_room(keep=name)
        seconds = round(time.monotonic() - started, 6)
        self.records.write("snapshot", snapshot=name, reason=reason, step=step, seconds=seconds, bytes=size)
        return True

    def write(self, path):
        # Millions of new objects would set off the program's collector again and again.
        collecting = gc.isenabled()
        gc.disable()
        try:
            snapshot = self.torch.cuda.memory._snapshot()
            with open(path, "wb") as file:
                limited = Limited(file, self.max_disk - self.sizes.get(self.first_failure, 0))
                pickle.dump(snapshot, limited)
                file.flush()
                os.fsync(file.fileno())
            return limited.written
        finally:
            if collecting:
                gc.enable()

    def make_room(self, keep):
        for name in list(self.sizes):
            if sum(self.sizes.values()) <= self.max_disk:
                return
            if name not in (keep, self.first_failure):
                self.drop(name)

    def drop(self, name):
        if self.sizes.pop(name, None) is not None:
            remove(os.path.join(self.records.folder, name))


class Limited:
    def __init__(self, file, limit):
        self.file = file
        self.limit = limit
        self.written = 0

    def write(self, data):
        self.written += len(data) if isinstance(data, (bytes, bytearray)) else memoryview(data).nbytes
        if self.written > self.limit:
            raise OverBudget("it would take more than --max-disk leaves")
        return self.file.write(data)


def remove(path):
    try:
        os.remove(path)
    except OSError:
        pass
