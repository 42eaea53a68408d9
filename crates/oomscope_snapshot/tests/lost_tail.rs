//! A file that was cut inside its trace: what was before the cut is as the whole file has it.
#![allow(clippy::disallowed_methods, missing_docs)] // tests read files

use std::path::Path;

use oomscope_snapshot::{Snapshot, counters, read};

fn compare(whole: &Snapshot, cut: &Snapshot, name: &str) -> usize {
    let mut compared = 0;
    for device in whole.devices() {
        let events = cut.trace(device).map_or(0, oomscope_snapshot::Trace::len);
        let (full, part) = (counters(whole, device), counters(cut, device));
        for (name_of, full, part) in [
            ("allocated", &full.allocated, &part.allocated),
            ("active", &full.active, &part.active),
            ("reserved", &full.reserved, &part.reserved),
        ] {
            let differ = (0..events).find(|&event| full[event] != part[event]);
            assert_eq!(differ, None, "{name}: {name_of} after {events} events");
        }
        compared += events;
    }
    compared
}

#[test]
fn a_truncated_trace_has_the_states_of_the_whole_one_where_recording_began_first() {
    for example in ["retained_graph", "fragmentation", "eval_without_no_grad"] {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = here.join("../../examples").join(example).join("snapshot.pickle");
        let bytes = std::fs::read(&path).expect("the example exists");
        let whole = read(&bytes).expect("it is whole");
        let mut compared = 0;
        for tenths in 3..10 {
            let Ok(cut) = read(&bytes[..bytes.len() * tenths / 10]) else { continue };
            assert!(cut.lost_tail);
            compared += compare(&whole, &cut, example);
        }
        assert!(compared > 1000, "{example}: {compared}");
    }
}
