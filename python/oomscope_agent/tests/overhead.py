"""Prints what the agent adds to a training step: run it as the tests are run.

The pretend device does no work, so a step here is nothing but the time of the host, of which
a real device hides most.
"""

import json
import os
import subprocess
import sys
import tempfile

from support import AGENT, LAUNCHER, MODEL, PYTHON

PROGRAM = MODEL + """
import json, time
net = torch.nn.Sequential(*[torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True) for _ in range(8)]).cuda()
optimizer = torch.optim.AdamW(net.parameters())
times = []
for _ in range(220):
    began = time.perf_counter()
    optimizer.zero_grad(); net(torch.zeros(2, 16, 64, device="cuda")).sum().backward(); optimizer.step()
    times.append(time.perf_counter() - began)
allocations = torch.cuda.memory_stats()["allocation.all.allocated"] / 220
print(json.dumps([sorted(times[20:])[20] * 1e3, allocations]))
"""


def tenth_percentile(options):
    with tempfile.TemporaryDirectory() as directory:
        environment = dict(os.environ, VGPU_TOTAL_MB="2048")
        if options is not None:
            environment.update(
                PYTHONPATH=AGENT, OOMSCOPE_RUN_DIR=directory, OOMSCOPE_AGENT_OPTIONS=json.dumps(options)
            )
        return json.loads(subprocess.check_output([LAUNCHER, PYTHON, "-c", PROGRAM], env=environment))


def main():
    ways = {"alone": None, "context all": {}, "context alloc": {"context": "alloc"}}
    results = {way: [] for way in ways}
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for way, options in ways.items():
            results[way].append(tenth_percentile(options))
    alone = min(results["alone"])[0]
    for way, values in results.items():
        milliseconds, allocations = min(values)
        added = milliseconds - alone
        print(
            "%-14s %6.3f ms a step of %.0f allocations, %+.3f ms: %.1f %% of 50 ms"
            % (way, milliseconds, allocations, added, added * 2)
        )


if __name__ == "__main__":
    main()
