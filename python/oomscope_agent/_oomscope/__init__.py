"""The recorder inside a Python process; `docs/run-directory.md` says what it writes.

    import_hook   waits for torch, without importing it
    recorder      what one process records: begins, forks, ends
    options       what the command line asked for
    records       the append-only file
    counters      the allocator's numbers; peaks that the program still sees as its own
    steps         training steps and their phases
    marker        the user's own function as the step
    history       the allocator's history, shared with the program
    snapshots     dumps and the disk budget
    failures      running out of memory, uncaught exceptions
    sources       cells of a notebook, which are in no file
    watcher       the thread: samples, requests
    guard         hooks that cannot harm the program

Nothing here prints, initialises the device, waits for it, or lets an exception out.
"""
