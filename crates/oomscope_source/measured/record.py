"""Runs every pair and writes figures.json: `record.py [LAUNCHER] PYTHON`, from any folder.

LAUNCHER makes a device appear where there is none; the figures are of PyTorch's allocator."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COMMAND = sys.argv[1:]


def run(*arguments):
    result = subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, text=True)
    return result.stdout.splitlines()[-1]


pairs = {}
for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
    sides = {side: json.loads(run(str(folder / f"{side}.py"))) for side in ("before", "after")}
    pairs[folder.name] = sides
    print(folder.name, sides, flush=True)
torch = run("-c", "import torch; print(torch.__version__.partition('+')[0])")
text = json.dumps({"torch": torch, "pairs": pairs}, indent=1)
(FOLDER / "figures.json").write_text(text + "\n")
