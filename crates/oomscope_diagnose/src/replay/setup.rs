//! Under which release and settings a snapshot was recorded, and what was held before it.

use oomscope_allocator::{Release, Settings, SettingsError, StartBlock, StartSegment};
use oomscope_model::rounding::Rounding;
use oomscope_model::{BlockState, EventIndex, SegmentPool};
use oomscope_snapshot::{At, History, Snapshot};

/// The releases that may have written the file, by its keys; among releases whose allocators
/// decide alike, one stands for all. The most widespread come first.
pub(super) fn releases_of(snapshot: &Snapshot) -> Vec<Release> {
    match snapshot.torch_version {
        Some("2.0 to 2.2" | "2.3 to 2.5") => vec![Release::V2_4],
        Some("2.6" | "2.6 or later") => vec![Release::V2_6],
        Some("2.7 to 2.9") => vec![Release::V2_9],
        Some("2.10 to 2.12") => vec![Release::V2_11, Release::V2_12],
        Some("2.13 or later") => vec![Release::NEWEST],
        _ => vec![Release::NEWEST, Release::V2_12, Release::V2_11],
    }
}

/// The settings that the file was recorded under, and what of them could not be read; the values
/// that it states one by one then count.
pub(super) fn settings_of(
    snapshot: &Snapshot,
    release: Release,
) -> (Settings, Option<SettingsError>) {
    let Some(conf) = snapshot.settings.conf.as_deref() else { return (stated(snapshot), None) };
    match Settings::parse(conf, release) {
        Ok(settings) => (settings, None),
        Err(error) => (stated(snapshot), Some(error)),
    }
}

/// The settings as the file states them one by one.
fn stated(snapshot: &Snapshot) -> Settings {
    let stated = &snapshot.settings;
    let threshold = stated.garbage_collection_threshold_percent.filter(|percent| *percent > 0);
    Settings {
        expandable_segments: stated.expandable_segments.unwrap_or_default(),
        max_split_size: stated.max_split_size.map(|size| size.0),
        garbage_collection_threshold: threshold.map(|percent| f64::from(percent) / 100.0),
        rounding: Rounding { divisions: snapshot.roundup_power2_divisions() },
        ..Settings::default()
    }
}

/// What was held before the first event.
pub(super) fn start_of(history: &History) -> Vec<StartSegment> {
    let state = history.state_at(At::Before(EventIndex(0)));
    let mut blocks = state.live.iter().peekable();
    let mut segments = Vec::with_capacity(state.segments.len());
    for segment in &state.segments {
        let end = segment.addr.saturating_add(segment.total.0);
        while blocks.next_if(|block| block.addr < segment.addr).is_some() {}
        let mut inside = Vec::new();
        while let Some(block) = blocks.next_if(|block| block.addr < end) {
            inside.push(StartBlock {
                addr: block.addr,
                size: block.size.0,
                requested: block.requested.0,
                is_pending: block.state == BlockState::PendingFree,
            });
        }
        segments.push(StartSegment {
            addr: segment.addr,
            size: segment.total.0,
            stream: segment.stream,
            pool: segment.pool_id,
            is_small: segment.pool == SegmentPool::Small,
            is_expandable: segment.is_expandable,
            age: 0,
            blocks: inside,
        });
    }
    segments
}
