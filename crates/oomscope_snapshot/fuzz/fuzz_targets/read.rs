//! Any bytes: reading, rewinding and summing up end without a panic.
//! Run in the crate's folder: `cargo +nightly fuzz run read fuzz/corpus tests/data`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_snapshot::{At, history, oom_events, read};

fuzz_target!(|bytes: &[u8]| {
    let Ok(snapshot) = read(bytes) else { return };
    for device in snapshot.devices() {
        let history = history(&snapshot, device);
        let timeline = history.timeline();
        assert_eq!(timeline.len(), history.events as usize);
        let _ = history.state_at(At::End);
        for oom in snapshot.trace(device).map(oom_events).unwrap_or_default() {
            let _ = history.state_at(At::Before(oom));
        }
    }
});
