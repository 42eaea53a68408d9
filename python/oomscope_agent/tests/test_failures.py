"""Running out of memory, exceptions, signals and exit codes: recorded, and otherwise as without us."""

import os
import pickle
import signal
import time
import unittest

from support import MODEL, AgentTest, needs_torch, of_kind

RUNS_OUT = MODEL + """
net = model()
keep = []
while True:
    keep.append(net(torch.zeros(1 << 17, 256, device="cuda")))
"""

RUNS_OUT_IN_BACKWARD = MODEL + """
class Hungry(torch.autograd.Function):
    @staticmethod
    def forward(context, x): return x.clone()
    @staticmethod
    def backward(context, gradient): return torch.zeros(1 << 32, device="cuda")
x = torch.zeros(4, device="cuda", requires_grad=True)
Hungry.apply(x).sum().backward()
"""


@needs_torch
class Failures(AgentTest):
    def snapshot(self, name):
        with open(os.path.join(self.run_directory, self.processes()[0], name), "rb") as file:
            return pickle.load(file)

    def test_an_uncaught_failure_leaves_a_snapshot_of_its_moment(self):
        code, _, err = self.assert_unchanged(RUNS_OUT)
        self.assertEqual(code, 1)
        self.assertIn(b"OutOfMemoryError", err)
        records = self.only_records()
        kinds = [r["kind"] for r in records if r["kind"] not in ("sample", "step")]
        self.assertEqual(kinds[-4:], ["oom", "snapshot", "exception", "end"])
        exception = of_kind(records, "exception")[0]
        self.assertTrue(exception["is_oom"])
        self.assertIn(exception["message"], err.decode())
        self.assertEqual(exception["traceback"], err.decode())
        self.assertEqual(records[-1]["reason"], "exception")
        snapshot = self.snapshot("oom-1.pickle")
        self.assertTrue(snapshot["segments"])
        frames = [f for s in snapshot["segments"] for b in s["blocks"] for f in b.get("frames", [])]
        self.assertTrue(any(f["filename"].endswith("train.py") for f in frames))
        self.assertIn("oom", [event["action"] for event in snapshot["device_traces"][0]])

    def test_a_failure_inside_backward_prints_no_frame_of_ours(self):
        code, _, err = self.assert_unchanged(RUNS_OUT_IN_BACKWARD)
        self.assertEqual(code, 1)
        self.assertTrue(of_kind(self.only_records(), "exception", is_oom=True))

    def test_a_caught_failure_has_no_exception_and_training_goes_on(self):
        code, out, _ = self.assert_unchanged(
            MODEL
            + """
rows = 1 << 24
net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
while rows > 4096:
    try:
        step(net, optimizer, rows=rows)
        break
    except RuntimeError as error:
        print(rows, str(error)[:60])
    rows //= 2
step(net, optimizer)
print("done", rows)
"""
        )
        self.assertEqual((code, out.split()[-2]), (0, b"done"))
        records = self.only_records()
        ooms = of_kind(records, "oom")
        self.assertGreater(len(ooms), 1)
        self.assertEqual([o.get("snapshot") for o in ooms][:2], ["oom-1.pickle", None])
        self.assertEqual(of_kind(records, "exception"), [])
        self.assertEqual(records[-1]["reason"], "exit")

    def test_what_was_written_survives_a_kill(self):
        path = self.program(
            MODEL
            + """
net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
for n in range(3): step(net, optimizer)
print("ready", flush=True)
loss = net(torch.zeros(8, 256, device="cuda")).sum()
import time; time.sleep(100)
"""
        )
        process = self.start(path)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL)
        records = self.only_records()
        self.assertEqual(of_kind(records, "step")[-1]["step"], 3)
        self.assertEqual(of_kind(records, "end"), [])

    def test_exit_codes_are_the_programs(self):
        device = "import torch, os, sys; torch.cuda.init(); print('x', flush=True); "
        for ending, code in (
            ("sys.exit(3)", 3),
            ("os._exit(4)", 4),
            ("sys.exit('text')", 1),
            ("raise KeyboardInterrupt", -signal.SIGINT),
            ("os.kill(os.getpid(), 15)", -signal.SIGTERM),
            ("raise ValueError('no memory')", 1),
        ):
            with self.subTest(ending):
                self.assertEqual(self.assert_unchanged(device + ending)[0], code)

    def test_an_exception_before_the_device_is_used_is_recorded(self):
        self.assert_unchanged("import torch\nraise ValueError('early')")
        records = self.only_records()
        self.assertEqual([r["kind"] for r in records], ["start", "torch", "exception", "end"])
        self.assertFalse(records[2]["is_oom"])

    def test_the_programs_own_excepthook_runs(self):
        text = """
        import sys, torch
        {first}
        sys.excepthook = lambda kind, error, frames: print("hook", error)
        {second}
        raise ValueError("mine")
        """
        for first, second in (("", "torch.cuda.init()"), ("torch.cuda.init()", "")):
            with self.subTest(first):
                code, out, err = self.assert_unchanged(text.format(first=first, second=second))
                self.assertEqual((code, out, err), (1, b"hook mine\n", b""))
        for process in self.processes():
            self.assertEqual(len(of_kind(self.records(process), "exception")), 1)

    def test_an_exception_in_a_thread_is_recorded(self):
        self.assert_unchanged(
            """
            import threading, torch
            torch.cuda.init()
            def fail(): raise ValueError("thread")
            thread = threading.Thread(target=fail, name="worker"); thread.start(); thread.join()
            print(threading.active_count())
            """
        )
        self.assertEqual(of_kind(self.only_records(), "exception")[0]["message"], "thread")

    def test_an_error_raised_from_a_failure_is_a_failure(self):
        self.assert_unchanged(
            """
            import torch
            try: torch.zeros(1 << 40, device="cuda")
            except torch.cuda.OutOfMemoryError as error: raise ValueError("training failed") from error
            """
        )
        self.assertTrue(of_kind(self.only_records(), "exception")[0]["is_oom"])

    def test_a_full_disk_silences_the_record_only(self):
        code, out, err = self.assert_unchanged(
            MODEL
            + """
net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
for n in range(20): step(net, optimizer)
print("done")
torch.zeros(1 << 50, dtype=torch.uint8, device="cuda")
"""
        )
        self.assertEqual((code, out), (1, b"done\n"))
        path = os.path.join(self.run_directory, self.processes()[0])
        self.assertLessEqual(os.path.getsize(os.path.join(path, "records.jsonl")), 2048)
        self.assertEqual([n for n in os.listdir(path) if n != "records.jsonl"], [])

    def test_a_run_directory_that_is_gone_changes_nothing(self):
        os.rmdir(self.run_directory)
        code, _, _ = self.assert_unchanged("import torch; torch.zeros(4, device='cuda')")
        self.assertEqual(code, 0)
        os.mkdir(self.run_directory)

    def test_a_snapshot_over_the_budget_is_a_problem(self):
        self.launch(self.program(RUNS_OUT), options={"max_disk": 1000})
        records = self.records(self.processes()[0])
        self.assertEqual(of_kind(records, "snapshot"), [])
        self.assertIn("--max-disk", of_kind(records, "problem")[0]["what"])

    def test_a_request_is_answered(self):
        path = self.program("import sys, torch\nx = torch.zeros(9, device='cuda')\nprint('ready', flush=True)\nsys.stdin.read()")
        process = self.start(path)
        process.stdout.readline()
        folder = os.path.join(self.run_directory, self.processes()[0])
        until = time.time() + 20
        for name in ("request-1.pickle", "request-2.pickle"):
            # The next may be asked for as soon as the last one is seen.
            open(os.path.join(folder, "request"), "w").close()
            while not os.path.exists(os.path.join(folder, name)) and time.time() < until:
                time.sleep(0.001)
        time.sleep(0.5)
        process.kill()
        process.communicate()
        self.assertTrue(self.snapshot("request-2.pickle")["segments"])
        reasons = [record["reason"] for record in of_kind(self.only_records(), "snapshot")]
        self.assertEqual(reasons, ["request", "request"])


if __name__ == "__main__":
    unittest.main()
