"""The allocator's history: ours until the program wants its own, and again afterwards."""


class History:
    """Follows every switch, because all of them end in one function of `torch._C`."""

    def __init__(self, torch, options, records):
        self.torch = torch
        self.options = options
        self.records = records
        self.owner = None
        self.switching = False

    def begin(self):
        if self.owner is None:
            stacks, entries = self.options.stacks, int(self.options.max_entries)
            self.switch("all", self.options.context, stacks, entries)
            self.owner = "oomscope"
            self.record("all", stacks, entries)

    def program_will_switch(self):
        # The ring must be empty before its length changes: torch would write behind its end.
        if self.owner == "oomscope":
            self.switch(None)
            self.owner = None

    def program_switched(self, enabled, stacks, entries):
        """Notes the program's own setting; where it has none any more, ours comes back."""
        self.owner = "program" if enabled else None
        if self.records.is_open:
            self.record(enabled or "none", stacks, entries)
            if not enabled:
                self.begin()

    def switch(self, *arguments):
        self.switching = True
        try:
            self.torch.cuda.memory._record_memory_history(*arguments)
        finally:
            self.switching = False

    def record(self, enabled, stacks, entries):
        by = self.owner or "program"
        self.records.write("history", enabled=enabled, stacks=stacks, max_entries=entries, by=by)
