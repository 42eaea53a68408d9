"""What the command line asked for, as it reaches the process through the environment."""

import json
import os

DEFAULTS = {
    "stacks": "python",
    "context": "all",  # "alloc" leaves out the stacks of frees, two fifths of the cost
    "max_entries": 100000,
    "step_marker": None,
    "max_steps": None,
    "snapshots": "oom",
    "max_disk": 4 << 30,
    "sample_seconds": 1.0,
}


class Options:
    """`run_directory`, and an attribute for each key of `DEFAULTS`."""

    def __init__(self):
        self.run_directory = os.environ["OOMSCOPE_RUN_DIR"]
        try:
            given = json.loads(os.environ.get("OOMSCOPE_AGENT_OPTIONS") or "{}")
        except ValueError:
            given = {}
        for key, default in DEFAULTS.items():
            value = given.get(key)
            setattr(self, key, default if value is None else value)
