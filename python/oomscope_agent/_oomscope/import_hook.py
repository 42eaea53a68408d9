"""Waits for the program to import torch. Costs a process without torch one comparison an import."""

import sys

FROZEN = "<frozen importlib._bootstrap>"


def install():
    torch = sys.modules.get("torch")
    if torch is not None:  # A `.pth` file imports it before us.
        imported(torch)
    else:
        sys.meta_path.insert(0, Finder())


class Finder:
    """Finds only `torch`, by asking the finders behind it, and watches its execution."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            specification = finder.find_spec(name, path, target)
            if specification is not None:
                self.watch(specification.loader)
                return specification
        return None

    def watch(self, loader):
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module):
            execute(module)
            finished(module)

        def finished(module):
            vars(loader).pop("exec_module", None)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            imported(module)

        # Python cuts the import machinery's frames out of a traceback by this file name, so
        # that a torch that fails to import prints what it prints without us.
        exec_module.__code__ = exec_module.__code__.replace(co_filename=FROZEN)
        try:
            loader.exec_module = exec_module
        except AttributeError:
            pass  # A loader without a dictionary: this process stays unrecorded.


def imported(torch):
    try:
        from . import recorder

        recorder.install(torch)
    except Exception:
        pass  # The program runs on without a recording.
