"""Runs small programs with and without the agent, under the launcher of a pretend device.

`OOMSCOPE_TORCH_PYTHON` names an interpreter that has torch, `OOMSCOPE_VGPU_RUN` a program
that runs its arguments with a device.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = os.environ.get("OOMSCOPE_TORCH_PYTHON")
LAUNCHER = os.environ.get("OOMSCOPE_VGPU_RUN")

needs_torch = unittest.skipUnless(
    PYTHON and LAUNCHER, "OOMSCOPE_TORCH_PYTHON or OOMSCOPE_VGPU_RUN is not set"
)

MODEL = """
import os, sys, torch
torch.backends.cudnn.enabled = False
def model(width=256):
    return torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, width)).cuda()
def step(net, optimizer, rows=32, width=256):
    optimizer.zero_grad()
    net(torch.zeros(rows, width, device="cuda")).sum().backward()
    optimizer.step()
"""


class AgentTest(unittest.TestCase):
    """A folder for a program, one for its run, and ways to start it and read what it left."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="oomscope-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.run_directory = os.path.join(self.folder, "run")
        os.mkdir(self.run_directory)

    def program(self, text, name="train.py"):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))
        return path

    def environment(self, options=None, recorded=True, **more):
        environment = dict(os.environ, VGPU_TOTAL_MB="2048", **more)
        for name in ("OOMSCOPE_RUN_DIR", "OOMSCOPE_AGENT_OPTIONS"):
            environment.pop(name, None)
        path = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        if recorded:
            environment["OOMSCOPE_RUN_DIR"] = self.run_directory
            environment["OOMSCOPE_AGENT_OPTIONS"] = json.dumps(options or {})
            path.insert(0, AGENT)
        environment["PYTHONPATH"] = os.pathsep.join(path)
        if not path:
            del environment["PYTHONPATH"]
        return environment

    def start(self, *arguments, options=None, recorded=True, **more):
        return subprocess.Popen(
            [LAUNCHER, PYTHON] + list(arguments),
            env=self.environment(options, recorded, **more),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def launch(self, *arguments, **how):
        process = self.start(*arguments, **how)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def train(self, text, *arguments, **how):
        """Runs a program and returns its one process's records; it must exit with 0."""
        code, out, err = self.launch(self.program(MODEL + textwrap.dedent(text)), *arguments, **how)
        self.assertEqual((code, err.decode()), (0, ""))
        self.out = out.decode()
        return self.only_records()

    def assert_unchanged(self, text, *arguments, **how):
        """The program's exit code and output are the same with and without the agent."""
        path = self.program(textwrap.dedent(text))
        without = settled(self.launch(path, *arguments, recorded=False, **how))
        recorded = settled(self.launch(path, *arguments, **how))
        self.assertEqual(recorded, without)
        return without

    def processes(self):
        return sorted(os.listdir(self.run_directory))

    def records(self, process):
        with open(os.path.join(self.run_directory, process, "records.jsonl")) as file:
            return [json.loads(line) for line in file]

    def only_records(self):
        self.assertEqual(len(self.processes()), 1, self.processes())
        records = self.records(self.processes()[0])
        self.assertEqual([r["what"] for r in records if r["kind"] == "problem"], [])
        return records


def settled(ended):
    """After a failure in `backward` torch's thread may outlive the program, recorded or not: it aborts."""
    code, out, err = ended
    last = b"terminate called without an active exception\n"
    if code == -signal.SIGABRT and err.endswith(last):
        return 1, out, err[: -len(last)]
    return ended


def of_kind(records, kind, **values):
    return [r for r in records if r["kind"] == kind and all(r.get(k) == v for k, v in values.items())]
