//! The pieces that several views share, as JSON has them.

use oomscope_model::{Bytes, MemoryState, Place};
use oomscope_snapshot::views::{Group, MomentChoice, Point, Reason, Tally};
use schemars::JsonSchema;
use serde::Serialize;

use super::section::{duration, grouped};
use crate::wire::PlaceV1;

/// A moment of the trace.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct PointV1 {
    /// Why this one: `peak`, `oom`, `end` or `chosen`.
    pub(crate) kind: &'static str,
    /// The event that it stands at; null for the dump.
    pub(crate) event: Option<u32>,
    /// Microseconds since the first event; null where not recorded.
    pub(crate) since_start_us: Option<u64>,
    /// The request that failed there, in bytes, when it is a failure.
    pub(crate) failed_request: Option<u64>,
}

impl PointV1 {
    pub(crate) fn of(point: &Point) -> PointV1 {
        PointV1 {
            kind: match point.choice {
                MomentChoice::Peak => "peak",
                MomentChoice::Oom(_) | MomentChoice::OomOrEnd => "oom",
                MomentChoice::End => "end",
                MomentChoice::Event(_) | MomentChoice::Since(_) | MomentChoice::Epoch(_) => {
                    "chosen"
                }
            },
            event: point.event.map(|event| event.0),
            since_start_us: point.since_start_us,
            failed_request: point.failed_request.map(|bytes| bytes.0),
        }
    }

    /// `at the peak (event 1,234, 3.46 s)`.
    pub(crate) fn words(&self) -> String {
        let event = self.event.map(|event| format!("event {}", grouped(event.into())));
        let time = self.since_start_us.map(|micros| format!("{} in", duration(micros)));
        let places: Vec<String> = event.into_iter().chain(time).collect();
        let places =
            if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        match self.kind {
            "peak" => format!("at the peak{places}"),
            "oom" => format!("right before the failure{places}"),
            "end" => "at the dump".to_owned(),
            _ => format!("after {}", places.trim_matches([' ', '(', ')'])),
        }
    }
}

/// The allocator's counters at a moment, in bytes.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct CountersV1 {
    /// Held from the device.
    pub(crate) reserved: u64,
    /// In blocks that tensors hold.
    pub(crate) allocated: u64,
    /// Allocated, and waiting for a stream.
    pub(crate) active: u64,
    /// Asked for by the live blocks, before rounding.
    pub(crate) requested: Option<u64>,
    /// Reserved and not active.
    pub(crate) cached: u64,
    /// Waiting for another stream.
    pub(crate) pending_free: u64,
    /// Held by private pools.
    pub(crate) private_pools: u64,
    /// The largest cached block.
    pub(crate) largest_free_block: Option<u64>,
    /// Free bytes in segments that are partly in use.
    pub(crate) inactive_split: Option<u64>,
}

impl CountersV1 {
    pub(crate) fn of(state: &MemoryState) -> CountersV1 {
        CountersV1 {
            reserved: state.reserved.0,
            allocated: state.allocated.0,
            active: state.active.0,
            requested: state.requested.map(|bytes| bytes.0),
            cached: state.reserved.saturating_sub(state.active).0,
            pending_free: state.pending_free.0,
            private_pools: state.private_pools.0,
            largest_free_block: state.largest_free_block.map(|bytes| bytes.0),
            inactive_split: state.inactive_split.map(|bytes| bytes.0),
        }
    }
}

impl CountersV1 {
    /// `133.98 MiB allocated, 186.00 MiB reserved at the peak (event 839,155)`.
    pub(crate) fn headline(&self, at: &PointV1) -> String {
        let waiting = match self.pending_free {
            0 => String::new(),
            bytes => format!(", {} freed but waiting for a stream", Bytes(bytes)),
        };
        let (allocated, reserved) = (Bytes(self.allocated), Bytes(self.reserved));
        format!("{allocated} allocated{waiting}, {reserved} reserved {}", at.words())
    }
}

/// A sum of blocks.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct TallyV1 {
    /// Bytes after rounding.
    pub(crate) bytes: u64,
    /// Bytes asked for.
    pub(crate) requested: u64,
    /// Bytes lost to rounding.
    pub(crate) wasted: u64,
    /// Number of blocks.
    pub(crate) blocks: u64,
    /// Event of the oldest block; null when older than the trace.
    pub(crate) oldest_event: Option<u32>,
    /// Event of the youngest block; null when all are older than the trace.
    pub(crate) youngest_event: Option<u32>,
}

impl TallyV1 {
    pub(crate) fn of(tally: &Tally) -> TallyV1 {
        TallyV1 {
            bytes: tally.bytes.0,
            requested: tally.requested.0,
            wasted: tally.wasted().0,
            blocks: tally.blocks,
            oldest_event: tally.oldest.map(|event| event.0),
            youngest_event: tally.youngest.map(|event| event.0),
        }
    }
}

/// Blocks that share a key.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct GroupV1 {
    /// The key in words.
    pub(crate) label: String,
    /// The line of code, where the key is one.
    pub(crate) place: Option<PlaceV1>,
    /// The library call right below the line.
    pub(crate) library_call: Option<String>,
    /// What most of the bytes are: `activations`, ..., or a category of the configuration.
    pub(crate) category: String,
    /// Why the blocks are taken to be what they are, most bytes first, at most ten.
    pub(crate) reasons: Vec<ReasonV1>,
    /// The sum.
    #[serde(flatten)]
    pub(crate) tally: TallyV1,
}

/// Why blocks are taken to be what they are.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct ReasonV1 {
    /// In words.
    pub(crate) words: String,
    /// Bytes of the blocks that it is the reason for.
    pub(crate) bytes: u64,
    /// Their number.
    pub(crate) blocks: u64,
}

const MOST_REASONS: usize = 10;

impl ReasonV1 {
    fn of(reason: &Reason) -> ReasonV1 {
        ReasonV1 { words: reason.words.clone(), bytes: reason.bytes.0, blocks: reason.blocks }
    }
}

impl GroupV1 {
    pub(crate) fn of(group: &Group) -> GroupV1 {
        GroupV1 {
            label: group.label.clone(),
            place: group.place.as_ref().map(PlaceV1::of),
            library_call: group.library_call.clone(),
            category: group.category.clone(),
            reasons: group.reasons.iter().take(MOST_REASONS).map(ReasonV1::of).collect(),
            tally: TallyV1::of(&group.tally),
        }
    }
}

impl PlaceV1 {
    pub(crate) fn of(place: &Place) -> PlaceV1 {
        PlaceV1 { file: place.file.clone(), line: place.line, function: place.function.clone() }
    }

    pub(crate) fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, function: self.function.clone() }
    }
}
