"""Where the recorder is attached to torch and Python. Each hook asks for the current recorder."""

import functools
import sys
import threading

from . import recorder
from .guard import CLEANS_ITSELF, around, guarded, unseen, without_own_frames


def report(what):
    recorder.current.records.problem(what)


def guarded_hook(function):
    return guarded(function, report)


def native_functions(torch):
    """Torch's own, before they are wrapped; none without device support."""
    return {name: getattr(torch._C, name, None) for name in WRAPPED}


def install(torch):
    guarded_hook(watch_multiprocessing)()
    if hasattr(torch._C, "_cuda_memoryStats"):
        for watch in (watch_allocator, watch_backward, watch_optimizers, watch_device):
            guarded_hook(watch)(torch)


def watch_device(torch):
    """Queued by torch until the device is initialised, or run at once."""

    def device_is_ready():
        recorder.current.device_is_ready()

    torch.cuda._lazy_call(guarded_hook(device_is_ready))


def watch_allocator(torch):
    for name, wrap in WRAPPED.items():
        native = getattr(torch._C, name, None)
        if native is not None:
            setattr(torch._C, name, wrap(native))


# Counters and history: the program's calls, as if ours did not happen.


def reader(native):
    def fold(device, stats):
        counters = recorder.current.counters
        if counters is not None:
            counters.program_reads(device, stats)

    fold = guarded_hook(fold)

    def read(device):
        stats = native(device)
        fold(device, stats)
        return stats

    return named(read, native)


def resetter(native):
    def keep(device):
        counters = recorder.current.counters
        if counters is not None:
            counters.program_resets(device)

    keep = guarded_hook(keep)

    def reset(device):
        keep(device)
        return native(device)

    return named(reset, native)


def switcher(native):
    def before():
        recorder.current.history.program_will_switch()

    def after(enabled, context=None, stacks="all", max_entries=sys.maxsize, *rest):
        recorder.current.history.program_switched(enabled, stacks, max_entries)

    return switch_between(native, before, after)


def legacy_switcher(native):
    def before():
        recorder.current.history.program_will_switch()

    def after(enabled, record_context=True, max_entries=1, trace_context=False, cpp=False, *rest):
        recorder.current.history.program_switched("all" if enabled else None, "all" if cpp else "python", max_entries)

    return switch_between(native, before, after)


def switch_between(native, before, after):
    before, after = guarded_hook(before), guarded_hook(after)

    def switch(*arguments):
        # The tenth argument of torch 2.13 and later says whether the device is meant at all.
        if recorder.current.history.switching or not all(arguments[9:10]):
            return native(*arguments)
        before()
        result = native(*arguments)
        after(*arguments)
        return result

    return named(switch, native)


def named(wrapper, native):
    return unseen(functools.update_wrapper(wrapper, native, functools.WRAPPER_ASSIGNMENTS, ()))


WRAPPED = {
    "_cuda_memoryStats": reader,
    "_accelerator_getDeviceStats": reader,
    "_cuda_resetPeakMemoryStats": resetter,
    "_accelerator_resetPeakStats": resetter,
    "_cuda_record_memory_history": switcher,
    "_cuda_record_memory_history_legacy": legacy_switcher,
}


# Steps.


def watch_backward(torch):
    """All of `backward` and `grad` goes through one function; only the former accumulates."""
    engine = torch.autograd._engine_run_backward

    def begins():
        steps = recorder.current.steps
        if steps is not None:
            recorder.current.look_for_marker()
            steps.backward_begins()

    def ends(error):
        steps = recorder.current.steps
        if steps is not None:
            steps.backward_ends(error)

    is_compiling = torch.compiler.is_compiling

    def is_backward(keywords):
        return keywords.get("accumulate_grad") and not is_compiling()

    observed = around(engine, guarded_hook(begins), guarded_hook(ends), is_backward)
    torch.autograd._engine_run_backward = observed
    torch.autograd.graph._engine_run_backward = observed


def watch_optimizers(torch):
    is_compiling = torch.compiler.is_compiling

    def stepped(optimizer):
        steps = recorder.current.steps
        if steps is not None:
            recorder.current.look_for_marker()
            steps.optimizer_stepped(optimizer)

    stepped = guarded_hook(stepped)

    def after_step(optimizer, arguments, keywords):
        if not is_compiling():  # Inside `torch.compile` a hook would split the graph.
            stepped(optimizer)

    optimizer_module = sys.modules["torch.optim.optimizer"]
    optimizer_module.register_optimizer_step_post_hook(after_step)


def an_optimizer_exists(torch):
    """Torch marks the `step` of each class that has had an instance."""
    classes = [torch.optim.Optimizer]
    while classes:
        kind = classes.pop()
        if getattr(vars(kind).get("step"), "hooked", False):
            return True
        classes.extend(kind.__subclasses__())
    return False


def marker_returned(error):
    recorder.current.steps.marker_returned(error)


# Failures.


def watch_out_of_memory(torch):
    def observer(device, requested, total, free):
        now = recorder.current
        now.failures.out_of_memory(device, requested, total, free, now.steps.count)

    torch._C._cuda_attach_out_of_memory_observer(unseen(guarded_hook(observer)))


def watch_excepthooks():
    """Records at once; whoever replaces these hooks is covered by `look_for_uncaught`.

    Set at the device's first use and not before, because libraries that want to set theirs
    ask first whether the hook is still Python's own.
    """
    global excepthooks_watched
    if excepthooks_watched:
        return
    excepthooks_watched = True
    previous, previous_of_threads = sys.excepthook, threading.excepthook

    def excepthook(kind, error, frames):
        uncaught(error)
        previous(kind, error, frames)

    def thread_excepthook(details):
        in_thread(details.exc_value)
        previous_of_threads(details)

    sys.excepthook = unseen(excepthook)
    threading.excepthook = unseen(thread_excepthook)


excepthooks_watched = False


def uncaught(error):
    recorder.current.failures.uncaught(error)
    if not CLEANS_ITSELF:
        error.__traceback__ = without_own_frames(error.__traceback__)


def in_thread(error):
    if error is not None:
        recorder.current.failures.record(error)


uncaught, in_thread = guarded_hook(uncaught), guarded_hook(in_thread)


def watch_multiprocessing():
    """A child of `multiprocessing` prints its exception itself and leaves without `atexit`.

    Its finalizers run while the exception is still on its way.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is None:
        return

    def register(_):
        util.Finalize(None, child_ends, exitpriority=0)

    register(None)
    util.register_after_fork(CHILDREN, register)  # A forked child forgets its finalizers.


class Children:
    """What the registry of `multiprocessing` holds by a weak reference."""


CHILDREN = Children()


def child_ends():
    if sys.modules["multiprocessing.process"].parent_process() is None:
        return
    error = sys.exc_info()[1]
    # `sys.exit` in an `except` block: what it was caught for ends the process all the same.
    if isinstance(error, SystemExit) and error.code:
        error = error.__context__
    if isinstance(error, Exception):
        uncaught(error)
    recorder.current.end("exit")


child_ends = guarded_hook(child_ends)
