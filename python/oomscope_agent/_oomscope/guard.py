"""Hooks that cannot harm the program, and wrappers that leave no frame in its tracebacks."""

import functools
import sys

# In place of a path: a reader of stacks and tracebacks knows our frames by it.
FILE_NAME = "<oomscope>"


def guarded(function, report):
    """`function`, whose failure goes to `report` instead of the program."""

    @functools.wraps(function)
    def call(*arguments):
        try:
            return function(*arguments)
        except Exception as error:
            report("%s: %s: %s" % (function.__name__, type(error).__name__, error))
            return None

    return call


def always(keywords):
    return True


def around(original, before, after, applies=always):
    """`original` with `before()` and `after(error)` about it; both must be guarded."""

    @functools.wraps(original)
    def call(*arguments, **keywords):
        observed = applies(keywords)
        if observed:
            before()
        try:
            result = original(*arguments, **keywords)
        except BaseException as error:
            if observed:
                after(error)
            # Since Python 3.11 a bare `raise` adds no entry for this frame again.
            error.__traceback__ = error.__traceback__.tb_next
            raise
        if observed:
            after(None)
        return result

    return unseen(call)


def unseen(function):
    """`function`, whose frames carry no path of ours."""
    function.__code__ = function.__code__.replace(co_filename=FILE_NAME)
    return function


def without_own_frames(traceback):
    """The traceback less the entries that `around` left in it (before Python 3.11)."""
    while traceback is not None and is_own(traceback):
        traceback = traceback.tb_next
    entry = traceback
    while entry is not None and entry.tb_next is not None:
        if is_own(entry.tb_next):
            entry.tb_next = entry.tb_next.tb_next
        else:
            entry = entry.tb_next
    return traceback


def is_own(entry):
    return entry.tb_frame.f_code.co_filename == FILE_NAME


CLEANS_ITSELF = sys.version_info >= (3, 11)
