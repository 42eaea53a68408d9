"""The append-only file of a process: one write a line, silent for good after a failed one."""

import json
import os
import sys
import time

SCHEMA_VERSION = 1

encode = json.JSONEncoder(separators=(",", ":")).encode


class Records:
    """Creates the process's folder when the first record is written."""

    def __init__(self, run_directory, torch):
        self.run_directory = run_directory
        self.torch = torch
        self.folder = None
        self.file = -1
        self.silent = False
        self.waiting = []
        self.problems = set()

    @property
    def is_open(self):
        return self.file >= 0

    def write(self, kind, durable=False, **values):
        """Writes a record and returns its length; `durable` waits for the disk."""
        if not self.is_open and not self.silent:
            self.open()
        return self.append(kind, durable, values)

    def problem(self, what):
        """Says once what could not be done; kept back while there is no folder."""
        what = plain(what)[:2000]
        if what in self.problems or len(self.problems) >= 100:
            return
        self.problems.add(what)
        if self.is_open:
            self.append("problem", False, {"what": what})
        else:
            self.waiting.append(what)

    def open(self):
        try:
            self.folder = create_folder(self.run_directory)
            self.file = os.open(
                os.path.join(self.folder, "records.jsonl"),
                os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0),
                0o644,
            )
        except OSError:
            self.silent = True
            return
        self.append("start", False, process_facts())
        self.append("torch", False, torch_facts(self.torch))
        for what in self.waiting:
            self.append("problem", False, {"what": what})
        self.waiting = []

    def append(self, kind, durable, values):
        if self.silent:
            return 0
        record = {"kind": kind, "t": round(time.time(), 6)}
        record.update((key, value) for key, value in values.items() if value is not None)
        line = (encode(record) + "\n").encode("ascii")
        try:
            # Less than the line means a full disk; what follows would join the torn line.
            self.silent = os.write(self.file, line) != len(line)
            if durable:
                os.fsync(self.file)
        except OSError:
            self.silent = True
        return len(line)

    def forget(self):
        """Lets go of the parent's file in a forked child."""
        if self.is_open:
            try:
                os.close(self.file)
            except OSError:
                pass
        self.file = -1
        self.silent = True


def create_folder(run_directory):
    rank = number("RANK")
    name = "p%d" % os.getpid() if rank is None else "rank%d-p%d" % (rank, os.getpid())
    # A program that replaces itself with another (`exec`) keeps its process number.
    for suffix in [""] + ["-%d" % n for n in range(2, 100)]:
        folder = os.path.join(run_directory, name + suffix)
        try:
            os.mkdir(folder)
            return folder
        except FileExistsError:
            continue
    raise FileExistsError(name)


def process_facts():
    return {
        "schema_version": SCHEMA_VERSION,
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "rank": number("RANK"),
        "local_rank": number("LOCAL_RANK"),
        "world_size": number("WORLD_SIZE"),
        "argv": [plain(word) for word in getattr(sys, "argv", [])],
        "executable": plain(sys.executable or ""),
        "cwd": working_directory(),
        "python": "%d.%d.%d" % sys.version_info[:3],
    }


def torch_facts(torch):
    version = getattr(torch, "version", None)
    return {
        "version": plain(str(torch.__version__)),
        "cuda": getattr(version, "cuda", None),
        "hip": getattr(version, "hip", None),
        "alloc_conf": os.environ.get("PYTORCH_ALLOC_CONF")
        or os.environ.get("PYTORCH_CUDA_ALLOC_CONF")
        or os.environ.get("PYTORCH_HIP_ALLOC_CONF"),
    }


def number(variable):
    try:
        return int(os.environ[variable])
    except (KeyError, ValueError):
        return None


def working_directory():
    try:
        return plain(os.getcwd())
    except OSError:
        return None


def plain(text):
    """`text` without the lone surrogates that JSON readers refuse."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
