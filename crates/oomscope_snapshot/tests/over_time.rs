//! Series over time against the state that is rebuilt at single events.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};

use oomscope_model::{Bytes, DeviceId, EventIndex};
use oomscope_snapshot::views::{
    Axis, Counter, GroupBy, MomentChoice, OverTime, OverTimeOptions, PoolChoice, SegmentOrder,
    Selection, live_set, over_time, segment_map,
};
use oomscope_snapshot::{At, Recording, Snapshot, read};

const COUNTERS: [Counter; 5] =
    [Counter::Allocated, Counter::Active, Counter::Reserved, Counter::Cached, Counter::LargestFree];

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = root.join("../../../shared");
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or(beside, PathBuf::from).join("data");
    let mut folders = vec![root.join("tests/data"), shared.join("snapshots")];
    for version in ["torch-2.4", "torch-2.6", "torch-2.9", "torch-2.15"] {
        let cases = shared.join("cases").join(version);
        match std::fs::read_dir(&cases) {
            Ok(entries) => folders.extend(entries.filter_map(Result::ok).map(|it| it.path())),
            Err(_) => println!("skipped: {} is not there", cases.display()),
        }
    }
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pickle"))
        .collect()
}

fn each_device(mut check: impl FnMut(&Recording<'_>, &str)) {
    for path in files() {
        let bytes = std::fs::read(&path).expect("the file is readable");
        let Ok(snapshot) = read(&bytes) else { continue };
        for device in snapshot.devices() {
            let name = format!("{} device {}", path.display(), device.0);
            check(&Recording::new(&snapshot, device), &name);
        }
    }
}

fn shown(recording: &Recording<'_>, selection: &Selection, options: &OverTimeOptions) -> OverTime {
    let point = recording.point(MomentChoice::Peak).expect("there is a peak or a dump");
    over_time(recording, &point, selection, options).expect("the window is whole")
}

fn options(points: Option<usize>, axis: Axis) -> OverTimeOptions {
    OverTimeOptions {
        counters: COUNTERS.to_vec(),
        by: None,
        from: None,
        to: None,
        axis: Some(axis),
        points,
    }
}

#[test]
fn every_counter_is_the_one_of_the_rebuilt_state() {
    let mut compared = 0;
    each_device(|recording, name| {
        let view = shown(recording, &Selection::default(), &options(None, Axis::Events));
        let events = recording.history().events as usize;
        // A step that shares no factor with a program's own period.
        for at in (0..events).step_by(events / 61 + 1).chain(events.checked_sub(1)) {
            let state = recording.state(At::After(EventIndex(at as u32))).counters;
            let wanted = [
                state.allocated,
                state.active,
                state.reserved,
                state.reserved.saturating_sub(state.active),
                state.largest_free_block.expect("the layout is known"),
            ];
            for ((counter, extents), wanted) in view.counters.iter().zip(wanted) {
                assert_eq!(Bytes(extents[at].last), wanted, "{name}: {counter:?} at {at}");
            }
            compared += 1;
        }
    });
    println!("{compared} states compared");
}

#[test]
fn buckets_lose_no_extreme_and_leave_no_event_out() {
    each_device(|recording, name| {
        let exact = shown(recording, &Selection::default(), &options(None, Axis::Events));
        for axis in [Axis::Time, Axis::Events] {
            let view = shown(recording, &Selection::default(), &options(Some(97), axis));
            let mut next = 0;
            for (index, bucket) in view.buckets.iter().enumerate() {
                assert_eq!(bucket.events.start, next, "{name}");
                next = bucket.events.end;
                let inside = bucket.events.start as usize..bucket.events.end as usize;
                for ((_, all), (_, extents)) in exact.counters.iter().zip(&view.counters) {
                    let values = || all[inside.clone()].iter().map(|extent| extent.last);
                    let (Some(least), Some(most)) = (values().min(), values().max()) else {
                        continue;
                    };
                    let extent = extents[index];
                    assert!(extent.min <= least && extent.max >= most, "{name}");
                    let carried = inside.start.checked_sub(1).map(|before| all[before].last);
                    let is_true = |value| values().any(|it| it == value) || carried == Some(value);
                    assert!(is_true(extent.min) && is_true(extent.max), "{name}");
                }
            }
            assert_eq!(next, recording.history().events, "{name}");
        }
    });
}

#[test]
fn bands_sum_to_what_is_active_and_agree_with_the_live_set() {
    each_device(|recording, name| {
        for by in [GroupBy::Category, GroupBy::Line, GroupBy::Stream, GroupBy::Pool] {
            let mut wanted = options(None, Axis::Events);
            wanted.by = Some((by, 4));
            wanted.counters = vec![Counter::Active];
            let view = shown(recording, &Selection::default(), &wanted);
            let step = view.buckets.len() / 50 + 1;
            for at in (0..view.buckets.len()).step_by(step) {
                let sum: u64 = view.bands.iter().map(|band| band.extents[at].last).sum();
                assert_eq!(sum, view.counters[0].1[at].last, "{name} by {by:?} at {at}");
            }
            let point = recording.point(MomentChoice::Peak).expect("a point");
            let Some(event) = point.event.filter(|_| by != GroupBy::Pool) else { continue };
            let set = live_set(recording, point, &Selection::default(), by);
            for band in view.bands.iter().filter(|band| !band.is_rest) {
                let group = set.groups.iter().find(|group| group.label == band.label);
                let bytes = group.map_or(Bytes::ZERO, |group| group.tally.bytes);
                let shown = Bytes(band.extents[event.0 as usize].last);
                assert_eq!(shown, bytes, "{name} by {by:?}: {}", band.label);
            }
        }
    });
}

#[test]
fn pools_and_streams_split_what_is_reserved() {
    each_device(|recording, name| {
        let all = shown(recording, &Selection::default(), &options(None, Axis::Events));
        let parts = [PoolChoice::Default, PoolChoice::Private].map(|pool| {
            let selection = Selection { pool: Some(pool), ..Selection::default() };
            shown(recording, &selection, &options(None, Axis::Events))
        });
        let of = |view: &OverTime, counter: usize, at: usize| view.counters[counter].1[at].last;
        for at in (0..all.buckets.len()).step_by(all.buckets.len() / 50 + 1) {
            let sum: u64 = parts.iter().map(|part| of(part, 2, at)).sum();
            assert_eq!(sum, of(&all, 2, at), "{name}: reserved at {at}");
            let most = parts.iter().map(|part| of(part, 4, at)).max();
            assert_eq!(most, Some(of(&all, 4, at)), "{name}: largest free at {at}");
        }
    });
}

#[test]
fn the_map_holds_every_byte_of_the_counters() {
    each_device(|recording, name| {
        let point = recording.point(MomentChoice::OomOrEnd).expect("there is a dump");
        let everything = Selection::default();
        let map = segment_map(recording, point, &everything, SegmentOrder::Address);
        let sum = |of: fn(&oomscope_snapshot::views::MappedSegment) -> Bytes| -> Bytes {
            map.segments.iter().map(of).sum()
        };
        assert_eq!(sum(|segment| segment.range.total), map.counters.reserved, "{name}");
        assert_eq!(sum(|segment| segment.allocated), map.counters.allocated, "{name}");
        assert_eq!(sum(|segment| segment.pending), map.counters.pending_free, "{name}");
        let largest = map.segments.iter().map(|segment| segment.largest_hole).max();
        assert_eq!(largest.or(Some(Bytes::ZERO)), map.counters.largest_free_block, "{name}");
        for segment in &map.segments {
            let mut next = segment.range.addr;
            for block in &segment.blocks {
                assert_eq!(block.addr, next, "{name}");
                next += block.size.0;
            }
            assert_eq!(Bytes(next - segment.range.addr), segment.range.total, "{name}");
        }
        assert_eq!(
            map.totals.iter().map(|total| total.reserved).sum::<Bytes>(),
            map.counters.reserved
        );
    });
}

#[test]
fn a_recording_without_events_has_an_empty_window() {
    let snapshot = Snapshot::default();
    let recording = Recording::new(&snapshot, DeviceId(0));
    let view = shown(&recording, &Selection::default(), &options(Some(10), Axis::Time));
    assert!(view.buckets.is_empty() && view.peak.is_none());
}
