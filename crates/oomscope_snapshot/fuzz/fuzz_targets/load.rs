//! Any bytes, as the loader takes them: whatever is read keeps the invariants of its tables, at
//! any moment. See `README.md` for how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_model::{EventIndex, EventKind};
use oomscope_snapshot::{At, Snapshot, Trace, history, oom_events, read, read_with};

fuzz_target!(|bytes: &[u8]| {
    // Any moment, the same for the same input.
    let moment =
        bytes.iter().fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut last = 0;
    let Ok(snapshot) = read_with(bytes, &mut |done| {
        assert!(done >= last && done <= bytes.len());
        last = done;
    }) else {
        return;
    };
    check_tables(&snapshot, bytes.len());
    for device in snapshot.devices() {
        let history = history(&snapshot, device);
        let timeline = history.timeline();
        assert_eq!(timeline.len(), history.events as usize);
        assert_eq!(timeline.reserved.len(), timeline.len());
        assert_eq!(timeline.active.len(), timeline.len());
        let trace = snapshot.trace(device);
        assert_eq!(trace.map_or(0, Trace::len), timeline.len());
        let _ = history.state_at(At::End);
        for oom in trace.map(oom_events).unwrap_or_default().into_iter().take(4) {
            let _ = history.state_at(At::Before(oom));
        }
        let peak = timeline.peak_allocated().map(|(at, _)| at.0);
        let moments = [Some(0), peak, moment.checked_rem(history.events)];
        for at in moments.into_iter().flatten().filter(|&at| at < history.events) {
            let state = history.state_at(At::After(EventIndex(at)));
            assert!(state.live.is_sorted_by_key(|block| block.addr));
            assert!(state.segments.is_sorted_by_key(|segment| segment.addr));
            let row = at as usize;
            assert_eq!(state.counters.allocated.0, timeline.allocated[row]);
            assert_eq!(state.counters.active.0, timeline.active[row]);
            assert_eq!(state.counters.reserved.0, timeline.reserved[row]);
            assert!(state.counters.allocated <= state.counters.active);
        }
        for life in &history.lives {
            assert!(life.allocated_at.is_none_or(|at| at.0 < history.events));
            assert!(life.released_at().is_none_or(|at| at.0 < history.events));
            assert!(life.completed_at().is_none_or(|at| at.0 < history.events));
        }
    }
    assert_eq!(read(bytes), Ok(snapshot), "reading twice gives the same");
});

/// Ids lead somewhere, and nothing is larger than the input allows.
fn check_tables(snapshot: &Snapshot, len: usize) {
    let events: usize = snapshot.traces.iter().map(Trace::len).sum();
    // An embedded pickle is shorter than its page.
    assert!(events <= len && snapshot.segments.len() <= len && snapshot.annotations.len() <= len);
    for trace in &snapshot.traces {
        for (index, event) in trace.iter() {
            assert_eq!(trace.event(index), Some(event));
            let _ = (trace.pool_id(index), trace.compile_context(index));
            assert_ne!(trace.user_metadata(index), Some(""));
            assert!(event.kind != EventKind::Alloc || event.time_us != Some(0));
            let ids = snapshot.stacks.frame_ids_of(event.stack).take(64);
            for frame in ids {
                assert!(snapshot.stacks.frame(frame).is_some());
                let _ = snapshot.stacks.fx_node(frame);
            }
        }
        assert_eq!(trace.iter().count(), trace.len());
    }
}
