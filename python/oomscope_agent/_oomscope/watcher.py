"""The thread beside the program: samples, requests, and exceptions on their way out.

Started below `threading`, so that the program's own count of its threads stays right.
"""

import _thread
import ctypes
import os
import time

from .steps import Thinning

LOOK_SECONDS = 0.2
FULL_BYTES = 1536 << 10
LEVEL_BYTES = 384 << 10


class Watcher:
    def __init__(self, recorder, sample_seconds, report):
        self.recorder = recorder
        self.sample_seconds = sample_seconds
        self.report = report
        self.request = os.path.join(recorder.records.folder, "request")
        self.requests = 0
        self.thinning = Thinning(FULL_BYTES, LEVEL_BYTES)
        self.stopped = _thread.allocate_lock()

    def start(self):
        self.stopped.acquire()
        _thread.start_new_thread(self.run, ())

    def stop(self):
        if self.stopped.locked():
            self.stopped.release()

    def run(self):
        sampled = 0.0
        allow_during_capture()
        while not self.stopped.acquire(True, LOOK_SECONDS):
            try:
                self.answer()
                self.recorder.failures.look_for_uncaught()
                now = time.monotonic()
                if now - sampled >= self.sample_seconds:
                    sampled = now
                    self.sample()
            except Exception as error:
                self.report("watcher: %s: %s" % (type(error).__name__, error))

    def sample(self):
        if not self.thinning.is_due():
            return
        recorder = self.recorder
        recorder.counters.find_used()
        devices = recorder.counters.now()
        for entry in devices:
            entry.update(recorder.driver_memory(entry["device"]))
        self.thinning.wrote(recorder.records.write("sample", rss=recorder.rss(), devices=devices))

    def answer(self):
        if not os.path.exists(self.request):
            return
        os.remove(self.request)  # First: whoever sees the snapshot may ask for the next.
        self.requests += 1
        recorder = self.recorder
        recorder.snapshots.dump("request-%d.pickle" % self.requests, "request", recorder.steps.count)


def allow_during_capture():
    """While another thread captures a CUDA graph, an unsafe call of this one would spoil it."""
    relaxed = ctypes.c_int(2)
    try:
        ctypes.CDLL("libcuda.so.1").cuThreadExchangeStreamCaptureMode(ctypes.byref(relaxed))
    except (OSError, AttributeError):
        pass  # Not NVIDIA's.
