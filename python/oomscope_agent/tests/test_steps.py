"""Steps, phases and peaks, against the allocator's counters read by the program itself."""

import json
import sys
import textwrap
import unittest

from support import AGENT, MODEL, AgentTest, needs_torch, of_kind


class LongRuns(unittest.TestCase):
    def test_two_million_steps_stay_within_the_limit(self):
        sys.path.insert(0, AGENT)
        self.addCleanup(sys.path.remove, AGENT)
        from _oomscope.steps import FULL_BYTES, LEVEL_BYTES, Thinning

        thinning, length, written, stood_for = Thinning(FULL_BYTES, LEVEL_BYTES), 600, 0, 0
        for _ in range(2000000):
            if thinning.is_due():
                written += length
                stood_for += thinning.stride
                thinning.wrote(length)
        self.assertLess(written, 16 << 20)
        self.assertLessEqual(2000000 - stood_for, thinning.stride)


@needs_torch
class Steps(AgentTest):
    def test_a_plain_loop_has_a_step_for_each_optimizer_step(self):
        records = self.train(
            """
            net = model(); optimizer = torch.optim.Adam(net.parameters())
            for _ in range(5): step(net, optimizer)
            """
        )
        self.assertEqual([r["kind"] for r in records[:4]], ["start", "torch", "device", "history"])
        steps = of_kind(records, "step", source="optimizer")
        self.assertEqual([s["step"] for s in steps], [1, 2, 3, 4, 5])
        phases = [p["phase"] for p in steps[-1]["devices"][0]["phases"]]
        self.assertEqual(phases, ["forward", "backward", "optimizer"])
        self.assertEqual(len(of_kind(records, "step", source="backward")), 1)
        self.assertEqual(records[-1]["kind"], "end")
        self.assertEqual((records[-1]["reason"], records[-1]["step"]), ("exit", 5))

    LOOP = """
    import json
    net = model(); optimizer = torch.optim.Adam(net.parameters())
    seen = []
    for n in range(4):
        torch.cuda.reset_peak_memory_stats()
        temporary = torch.zeros(n << 20, device="cuda"); del temporary
        step(net, optimizer)
        seen.append([torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()])
    print(json.dumps(seen))
    """

    def test_a_step_has_the_peak_that_the_program_sees(self):
        steps = of_kind(self.train(self.LOOP), "step", source="optimizer")
        devices = [s["devices"][0] for s in steps]
        recorded = [[d["allocated"], d["peak_allocated"], d["peak_reserved"]] for d in devices]
        self.assertEqual(recorded[1:], json.loads(self.out)[1:])

    def test_phases_bound_the_peak_of_their_step(self):
        for step in of_kind(self.train(self.LOOP), "step", source="optimizer"):
            device = step["devices"][0]
            self.assertEqual(max(p["peak"] for p in device["phases"]), device["peak_allocated"])

    def test_the_programs_own_counters_answer_as_without_us(self):
        text = """
        net = model(); optimizer = torch.optim.Adam(net.parameters())
        for n in range(6):
            temporary = torch.zeros((6 - n) << 20, device="cuda"); del temporary
            step(net, optimizer)
            if n == 3: torch.cuda.reset_peak_memory_stats()
            print(sorted(torch.cuda.memory_stats().items()))
            print(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
            accelerator = getattr(torch, "accelerator", None)
            if hasattr(accelerator, "max_memory_allocated"): print(accelerator.max_memory_allocated())
        """
        self.assertEqual(self.assert_unchanged(MODEL + textwrap.dedent(text))[0], 0)

    def test_gradient_accumulation_has_a_step_for_each_update(self):
        records = self.train(
            """
            net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
            for _ in range(3):
                for _ in range(4): net(torch.zeros(8, 256, device="cuda")).sum().backward()
                optimizer.step(); optimizer.zero_grad()
            """
        )
        self.assertEqual([s["step"] for s in of_kind(records, "step", source="optimizer")], [1, 2, 3])

    def test_the_first_of_two_optimizers_defines_the_step(self):
        records = self.train(
            """
            a, b = model(), model()
            first, second = torch.optim.Adam(a.parameters()), torch.optim.Adam(b.parameters())
            for _ in range(4): step(a, first); step(b, second)
            """
        )
        self.assertEqual([s["step"] for s in of_kind(records, "step", source="optimizer")], [1, 2, 3, 4])

    def test_an_optimizer_that_is_gone_is_succeeded(self):
        records = self.train(
            """
            for _ in range(3):
                net = model(); optimizer = torch.optim.Adam(net.parameters())
                step(net, optimizer); step(net, optimizer)
                del optimizer
            """
        )
        self.assertEqual(len(of_kind(records, "step", source="optimizer")), 6)

    def test_without_an_optimizer_each_backward_is_a_step(self):
        records = self.train(
            """
            net = model()
            for _ in range(3): net(torch.zeros(8, 256, device="cuda")).sum().backward()
            """
        )
        self.assertEqual([s["step"] for s in of_kind(records, "step")], [1, 2, 3])

    def test_a_checkpointed_backward_is_one_step(self):
        records = self.train(
            """
            from torch.utils.checkpoint import checkpoint
            net = model()
            for _ in range(2):
                x = torch.zeros(8, 256, device="cuda", requires_grad=True)
                checkpoint(net, x, use_reentrant=True).sum().backward()
            """,
            PYTHONWARNINGS="ignore",
        )
        self.assertEqual([s["step"] for s in of_kind(records, "step")], [1, 2])

    def test_the_marker_is_the_best_source(self):
        text = """
        def train_step():
            for net, optimizer in pairs: step(net, optimizer)
            return 7
        pairs = [(net, torch.optim.SGD(net.parameters(), 0.1)) for net in (model(), model())]
        for _ in range(3): assert train_step() == 7
        """
        records = self.train(text, options={"step_marker": "train.py:train_step"})
        steps = of_kind(records, "step", source="marker")
        self.assertEqual(len(steps), 3)
        self.assertEqual(records[-1]["step"], 3)

    def test_a_marker_that_is_absent_is_a_problem_at_the_end(self):
        path = self.program("import torch; torch.cuda.init()")
        self.assertEqual(self.launch(path, options={"step_marker": "nowhere:f"})[0], 0)
        problems = of_kind(self.records(self.processes()[0]), "problem")
        self.assertIn("nowhere:f", problems[0]["what"])

    def test_max_steps_ends_the_program(self):
        records = self.train(
            """
            net = model(); optimizer = torch.optim.Adam(net.parameters())
            while True: step(net, optimizer); print("step")
            """,
            options={"max_steps": 3, "snapshots": "all"},
        )
        self.assertEqual(self.out, "step\nstep\n")
        self.assertEqual((records[-1]["kind"], records[-1]["reason"], records[-1]["step"]), ("end", "steps", 3))
        self.assertEqual(of_kind(records, "snapshot")[0]["snapshot"], "exit.pickle")

    def test_max_steps_waits_for_the_optimizer_of_an_accumulating_loop(self):
        records = self.train(
            """
            net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
            while True:
                for _ in range(4): net(torch.zeros(8, 256, device="cuda")).sum().backward()
                optimizer.step()
            """,
            options={"max_steps": 2},
        )
        self.assertEqual(of_kind(records, "step")[-1]["source"], "optimizer")

    def test_compilation_meets_no_graph_break_of_ours(self):
        text = """
        from torch._dynamo.utils import counters
        net = model(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net.compile(backend="eager", fullgraph=True)
        compiled = torch.compile(optimizer.step, backend="eager")
        for _ in range(3):
            net(torch.zeros(8, 256, device="cuda")).sum().backward()
            compiled()
        print({kind: dict(counts) for kind, counts in counters.items() if kind in ("stats", "graph_break")})
        """
        path = self.program(MODEL + textwrap.dedent(text))
        without = self.launch(path, recorded=False)[:2]
        self.assertEqual(self.launch(path)[:2], without)


if __name__ == "__main__":
    unittest.main()
