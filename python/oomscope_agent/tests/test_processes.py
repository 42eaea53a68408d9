"""Which processes are recorded, and how the agent lives beside what it finds there."""

import os
import subprocess
import sys
import textwrap
import unittest

from support import AGENT, LAUNCHER, MODEL, PYTHON, AgentTest, needs_torch, of_kind


class WithoutTorch(AgentTest):
    """Needs no torch: any interpreter will do."""

    def run_python(self, *arguments, recorded=True, **more):
        return subprocess.run(
            [sys.executable] + list(arguments),
            env=self.environment(None, recorded, **more),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def both(self, *arguments, **more):
        """The same answer with and without the agent."""
        results = [self.run_python(*arguments, recorded=recorded, **more) for recorded in (False, True)]
        answers = [(r.returncode, r.stdout, r.stderr) for r in results]
        self.assertEqual(answers[0], answers[1])
        return answers[0]

    def test_nothing_is_imported_or_written(self):
        loaded = "import sys; print([n for n in sys.modules if n in ('torch', 'json', 'threading', 'atexit')])"
        self.both("-c", loaded)
        self.assertEqual(self.processes(), [])

    def test_paths_and_sitecustomize_are_as_without_us(self):
        self.both("-c", "import sys; print(sys.path, 'sitecustomize' in sys.modules)")

    def test_the_users_sitecustomize_runs(self):
        self.program("import builtins; builtins.mine = 5; value = 6", "site/sitecustomize.py")
        show = "import sitecustomize; print(mine, sitecustomize.value, sitecustomize.__file__)"
        _, out, _ = self.both("-c", show, PYTHONPATH=os.path.join(self.folder, "site"))
        self.assertTrue(out.startswith(b"5 6"))

    def test_the_users_sitecustomize_fails_as_it_does_without_us(self):
        for text in ("raise ValueError('mine')", "import nowhere_to_be_found"):
            with self.subTest(text):
                self.program(text, "site/sitecustomize.py")
                self.both("-c", "print(1)", PYTHONPATH=os.path.join(self.folder, "site"))

    def test_a_torch_that_cannot_be_imported_fails_as_without_us(self):
        for text in ("raise ValueError('mine')", "import nowhere_to_be_found", "1 / 0"):
            with self.subTest(text):
                self.program(text, "site/torch/__init__.py")
                self.both("-c", "import torch", PYTHONPATH=os.path.join(self.folder, "site"))

    def test_another_module_named_torch_is_let_be(self):
        self.program("value = 4", "site/torch.py")
        code, out, _ = self.both(
            "-c", "import torch; print(torch.value, torch.__spec__.origin, vars(torch.__loader__))", PYTHONPATH=os.path.join(self.folder, "site")
        )
        self.assertEqual(code, 0)

    def test_an_absent_torch_is_absent(self):
        self.both("-c", "import importlib.util as u; print(u.find_spec('torch') is None)")


@needs_torch
class Processes(AgentTest):
    def test_a_program_that_uses_no_device_leaves_nothing(self):
        self.assert_unchanged("import torch; print(torch.zeros(3).sum())")
        self.assertEqual(self.processes(), [])

    LOADER = MODEL + """
from torch.utils.data import DataLoader
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 12
    def __getitem__(self, n): return torch.zeros(256)
if __name__ == "__main__":
    net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        for rows in DataLoader(Rows(), batch_size=4, num_workers=2, multiprocessing_context="%s"):
            optimizer.zero_grad(); net(rows.cuda()).sum().backward(); optimizer.step()
    print("done")
"""

    def test_loader_workers_leave_nothing(self):
        for context in ("fork", "spawn"):
            with self.subTest(context):
                before = len(self.processes())
                self.assertEqual(self.assert_unchanged(self.LOADER % context)[:2], (0, b"done\n"))
                self.assertEqual(len(self.processes()), before + 1)

    def test_children_that_use_the_device_have_their_own_folders(self):
        code, out, _ = self.assert_unchanged(
            """
            import os, torch
            child = os.fork()
            torch.zeros(5, device="cuda")
            if child: os.waitpid(child, 0)
            print("parent" if child else "child", flush=True)
            """
        )
        self.assertEqual((code, out), (0, b"child\nparent\n"))
        self.assertEqual(len(self.processes()), 2)
        for process in self.processes():
            records = self.records(process)
            self.assertEqual("p%d" % records[0]["pid"], process)
            self.assertEqual(records[-1]["kind"], "end")

    def test_a_child_of_multiprocessing_that_fails_is_recorded(self):
        for method in ("fork", "spawn"):
            with self.subTest(method):
                before = set(self.processes())
                path = self.program(
                    """
                    import torch, multiprocessing
                    def work(): torch.zeros(1 << 40, device="cuda")
                    if __name__ == "__main__":
                        child = multiprocessing.get_context("%s").Process(target=work, name="child")
                        child.start(); child.join(); print(child.exitcode)
                    """
                    % method
                )
                without = self.launch(path, recorded=False)
                self.assertEqual(self.launch(path), without)
                self.assertEqual(without[:2], (0, b"1\n"))
                (process,) = set(self.processes()) - before
                records = self.records(process)
                self.assertEqual([r["is_oom"] for r in of_kind(records, "exception")], [True])
                self.assertEqual(records[-1]["reason"], "exception")

    def test_torchrun_has_a_folder_for_each_rank(self):
        path = self.program(
            MODEL
            + """
import torch.distributed as dist
rank = int(os.environ["LOCAL_RANK"]); torch.cuda.set_device(rank)
dist.init_process_group("gloo")
net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
while True:
    step(net, optimizer)
    dist.all_reduce(torch.zeros(4))
"""
        )
        code, out, err = self.launch(
            "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29517", path,
            options={"max_steps": 5}, VGPU_DEVICES="2",
        )
        self.assertEqual(code, 0, err.decode())
        self.assertEqual([p.split("-")[0] for p in self.processes()], ["rank0", "rank1"])
        for rank, process in enumerate(self.processes()):
            records = self.records(process)
            self.assertEqual((records[0]["rank"], records[0]["world_size"]), (rank, 2))
            self.assertEqual(len(of_kind(records, "device")), 2)
            self.assertEqual([d["device"] for d in records[-1]["devices"]], [rank])
            self.assertEqual((records[-1]["reason"], records[-1]["step"]), ("steps", 5))

    def test_the_programs_own_history_is_its_own(self):
        records = self.train(
            """
            import pickle
            x = torch.zeros(1 << 20, device="cuda")
            from torch.cuda.memory import _record_memory_history, _dump_snapshot
            _record_memory_history(max_entries=50, stacks="python")
            y = [torch.zeros(1 << 20, device="cuda") for _ in range(30)]
            del y
            _dump_snapshot("mine.pickle")
            events = pickle.load(open("mine.pickle", "rb"))["device_traces"][0]
            print(len(events) <= 51, events[-1]["action"])
            _record_memory_history(enabled=None)
            z = torch.zeros(1 << 20, device="cuda")
            """,
            options={"snapshots": "all"},
        )
        self.assertEqual(self.out.split()[0], "True")
        switches = [(h["by"], h["enabled"]) for h in of_kind(records, "history")]
        self.assertEqual(
            switches, [("oomscope", "all"), ("program", "all"), ("program", "none"), ("oomscope", "all")]
        )

    def test_numbers_and_state_are_as_without_us(self):
        self.assert_unchanged(
            MODEL
            + """
import gc, random, threading, warnings
net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
for _ in range(3): step(net, optimizer)
print(torch.initial_seed() if False else torch.manual_seed(3).initial_seed(), torch.rand(3), random.Random(1).random())
print(torch.get_default_dtype(), len(warnings.filters), gc.isenabled(), gc.get_threshold(), threading.active_count())
print(sorted(n for n in os.environ if n.startswith("CUDA")))
"""
        )

    def test_lazily_imported_and_as_a_module(self):
        self.program("import torch\nimport os; torch.zeros(4, device='cuda'); print(__name__)", "train.py")
        for arguments in (["-m", "train"], ["-c", "import train"]):
            with self.subTest(arguments):
                before = len(self.processes())
                without = self.launch(*arguments, recorded=False)
                self.assertEqual(self.launch(*arguments), without)
                self.assertEqual(without[0], 0)
                self.assertEqual(len(self.processes()), before + 1)


if __name__ == "__main__":
    unittest.main()
