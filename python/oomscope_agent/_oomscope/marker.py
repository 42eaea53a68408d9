"""The user's own function as the step: `module:function`, `file.py:function`, `module:Class.method`.

A script's functions appear while the script already runs, so they are looked for again at
each phase until found.
"""

import sys

from .guard import around


class Marker:
    def __init__(self, name, returned):
        self.place, _, self.path = name.rpartition(":")
        self.returned = returned
        self.found = False

    def look(self):
        """Wraps the function, once, wherever a module refers to it."""
        if self.found:
            return
        for module in modules_named(self.place):
            holder, name, function = resolve(module, self.path)
            if function is None:
                continue
            wrapper = around(function, nothing, self.returned)
            setattr(holder, name, wrapper)
            replace_imported(function, wrapper)
            self.found = True
            return


def nothing():
    pass


def modules_named(place):
    for name, module in list(sys.modules.items()):
        if module is None:
            continue
        if place.endswith(".py"):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and ("/" + file).endswith("/" + place.lstrip("./")):
                yield module
        elif name == place or own_name(module) == place:
            yield module


def own_name(module):
    """The name that `python -m` was given."""
    return getattr(getattr(module, "__spec__", None), "name", None)


def resolve(module, path):
    holder, function = None, module
    for name in path.split("."):
        holder, function = function, vars(function).get(name) if hasattr(function, "__dict__") else None
    return holder, name, function if callable(function) else None


def replace_imported(function, wrapper):
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict):
            continue
        for name, value in list(names.items()):
            if value is function:
                names[name] = wrapper
