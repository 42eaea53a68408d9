"""Entered by every Python process below `oomscope run`, through PYTHONPATH.

Never imports torch, never prints, and leaves `sys.path` and `sitecustomize` as they would
be without it.
"""

import os
import sys


def enter():
    from _oomscope import import_hook

    import_hook.install()


here = os.path.dirname(os.path.abspath(__file__))
if os.environ.get("OOMSCOPE_RUN_DIR"):
    try:
        enter()
    except Exception:
        pass  # The program runs on without a recording.
sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]

# The one that this file shadows. Python drops a `sitecustomize` that raises an ImportError
# of that name without a word, which is what it does where none exists.
specification = None
for finder in sys.meta_path:
    if getattr(finder, "__name__", "") == "PathFinder":
        specification = finder.find_spec("sitecustomize", sys.path)
if specification is None or specification.loader is None:
    raise ImportError("no other sitecustomize", name="sitecustomize")
else:
    from importlib.util import module_from_spec

    sys.modules["sitecustomize"] = module_from_spec(specification)
    specification.loader.exec_module(sys.modules["sitecustomize"])
