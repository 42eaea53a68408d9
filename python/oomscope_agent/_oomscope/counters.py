"""The allocator's numbers.

To know the peak of one phase the allocator's peaks have to be reset at its beginning. The
program's own questions about its peaks are answered from what was kept at those resets, so
that it sees the numbers it would see without us.
"""


class Counters:
    """Of all devices that this process can see; only those it has used are read."""

    def __init__(self, read, reset, device_count):
        self.read = read
        self.reset = reset
        self.device_count = device_count
        self.used = []
        self.kept = {}
        self.intervals = []

    def find_used(self):
        for device in range(self.device_count):
            if device not in self.used and self.read(device)["reserved_bytes"]["all"]["peak"]:
                self.used.append(device)

    def boundary(self, phase):
        """Ends a phase: hands its peaks to the intervals, and starts the next one's."""
        latest = {}
        for device in self.used:
            stats = latest[device] = self.read(device)
            self.reset(device)
            self.hand_out(phase, device, stats)
            if device in self.kept:
                raise_peaks(stats, self.kept[device])
            self.kept[device] = stats
        return latest

    def hand_out(self, phase, device, stats):
        allocated = stats["allocated_bytes"]["all"]
        reserved_peak = stats["reserved_bytes"]["all"]["peak"]
        for interval in self.intervals:
            interval.fold(phase, device, allocated["current"], allocated["peak"], reserved_peak)

    def program_reads(self, device, stats):
        if device in self.kept:
            raise_peaks(stats, self.kept[device])

    def program_resets(self, device):
        """The program's peaks start anew; those of the intervals do not."""
        self.hand_out(None, device, self.read(device))
        self.kept.pop(device, None)

    def now(self):
        """An entry for each used device, without peaks."""
        return [entry(device, self.read(device)) for device in self.used]


class Interval:
    """The peaks between two records of one kind of step."""

    def __init__(self):
        self.peaks = {}
        self.phases = {}

    def fold(self, phase, device, allocated, peak, reserved_peak):
        peaks = self.peaks.setdefault(device, [0, 0])
        peaks[0] = max(peaks[0], peak)
        peaks[1] = max(peaks[1], reserved_peak)
        if phase is not None:
            numbers = self.phases.setdefault(device, {}).setdefault(phase, [0, 0])
            numbers[0] = max(numbers[0], allocated)
            numbers[1] = max(numbers[1], peak)

    def take(self, latest):
        """The entries of a step's record; the next interval starts."""
        entries = []
        for device, stats in latest.items():
            values = entry(device, stats)
            if device in self.peaks:
                values["peak_allocated"], values["peak_reserved"] = self.peaks[device]
            values["phases"] = [
                {"phase": phase, "allocated": allocated, "peak": peak}
                for phase, (allocated, peak) in self.phases.get(device, {}).items()
            ]
            entries.append(values)
        self.peaks, self.phases = {}, {}
        return entries


def entry(device, stats):
    return {
        "device": device,
        "allocated": stats["allocated_bytes"]["all"]["current"],
        "reserved": stats["reserved_bytes"]["all"]["current"],
        "active": stats["active_bytes"]["all"]["current"],
        "retries": stats["num_alloc_retries"],
        "ooms": stats["num_ooms"],
    }


def raise_peaks(stats, kept):
    """Lifts every `peak` in a tree of counters to the one kept."""
    peak = kept.get("peak")
    if peak is not None:
        if peak > stats["peak"]:
            stats["peak"] = peak
        return
    for key, branch in kept.items():
        if branch.__class__ is dict and key in stats:
            raise_peaks(stats[key], branch)
