"""Training steps and their phases, from the calls that every training loop makes.

Three sources end steps: the user's own function, an optimizer, `backward`. Each is counted
apart, and is recorded until a better one has shown itself.
"""

import time
import weakref

from .counters import Interval

SOURCES = ("backward", "optimizer", "marker")  # the best last
PATIENCE = 64  # steps of another optimizer until the first one is taken for retired

FULL_BYTES = 5 << 20  # of records, with every step kept
LEVEL_BYTES = 768 << 10  # for each doubling of the stride after that


class Thinning:
    """Doubles the stride as records grow, so that a run of any length fits."""

    def __init__(self, full_bytes, level_bytes):
        self.stride = 1
        self.room = full_bytes
        self.level_bytes = level_bytes
        self.skipped = 0

    def is_due(self):
        self.skipped += 1
        if self.skipped < self.stride:
            return False
        self.skipped = 0
        return True

    def wrote(self, length):
        self.room -= length
        if self.room < 0:
            self.stride *= 2
            self.room = self.level_bytes


class Source:
    def __init__(self, name):
        self.name = name
        self.count = 0
        self.recorded_at = None
        self.interval = Interval()
        self.thinning = Thinning(FULL_BYTES, LEVEL_BYTES)


class Steps:
    """What the hooks in torch call; `at_limit` runs when the steps asked for are done."""

    def __init__(self, records, counters, max_steps, rss, at_limit):
        self.records = records
        self.counters = counters
        self.max_steps = max_steps
        self.rss = rss
        self.at_limit = at_limit
        self.sources = {name: Source(name) for name in SOURCES}
        self.live = list(SOURCES)
        self.counters.intervals = [self.sources[name].interval for name in SOURCES]
        self.depth = 0
        self.first_optimizer = None
        self.others = 0

    @property
    def count(self):
        """Steps ended so far, by the best source there is."""
        return self.sources[self.best].count

    @property
    def best(self):
        for name in reversed(SOURCES):
            if self.sources[name].count:
                return name
        return SOURCES[0]

    # A `backward` inside another's is a checkpoint being computed again.

    def backward_begins(self):
        self.depth += 1
        if self.depth == 1:
            self.counters.find_used()
            self.counters.boundary("forward")

    def backward_ends(self, error):
        self.depth = max(0, self.depth - 1)
        if self.depth:
            return
        self.end("backward", "backward", error)

    def optimizer_stepped(self, optimizer):
        if self.defines_the_step(optimizer):
            self.end("optimizer", "optimizer", None)
        else:
            self.counters.boundary("optimizer")

    def marker_returned(self, error):
        self.end("marker", None, error)

    def defines_the_step(self, optimizer):
        first = self.first_optimizer and self.first_optimizer()
        if first is optimizer:
            self.others = 0
            return True
        self.others += 1
        if first is not None and self.others < PATIENCE:
            return False
        self.first_optimizer = weakref.ref(optimizer)
        self.others = 0
        return True

    def end(self, name, phase, error):
        """Ends a phase and, without an error, a step of the source `name`."""
        self.counters.find_used()
        latest = self.counters.boundary(phase)
        if error is not None or name not in self.live:
            return
        source = self.sources[name]
        source.count += 1
        if source.count == 1:
            self.drop_worse_than(name)
        if source.thinning.is_due():
            self.record(source, latest)
        if self.max_steps and source.count >= self.max_steps:
            self.at_limit(name)

    def drop_worse_than(self, name):
        self.live = [other for other in self.live if SOURCES.index(other) >= SOURCES.index(name)]
        self.counters.intervals = [self.sources[other].interval for other in self.live]

    def record(self, source, latest):
        now = time.monotonic()
        since, source.recorded_at = source.recorded_at, now
        length = self.records.write(
            "step",
            step=source.count,
            source=source.name,
            seconds=None if since is None else round(now - since, 6),
            stride=source.thinning.stride,
            rss=self.rss(),
            devices=source.interval.take(latest),
        )
        source.thinning.wrote(length)
