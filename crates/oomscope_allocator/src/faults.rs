//! Events that cannot be: a trace of a crashed job, or one that somebody made.

use oomscope_model::EventIndex;

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A segment or block of the beginning overlaps another, or has a size that cannot be.
    Start,
    /// A block is freed that is not known.
    UnknownAddress,
    /// A block is given up a second time.
    FreedTwice,
    /// A block becomes reusable that nobody gave up.
    CompletedUnasked,
    /// A block is handed out where one lives.
    Overlap,
    /// A request is larger than any device.
    Size,
    /// A segment comes without a request that needs it.
    SegmentWithoutRequest,
    /// An event is older than the one before it.
    TimeGoesBack,
}

impl FaultKind {
    /// In words, of one: `free of a block that is not known`.
    pub const fn in_words(self) -> &'static str {
        match self {
            FaultKind::Start => {
                "held before the trace, but overlapping or of a size that cannot be"
            }
            FaultKind::UnknownAddress => "free of a block that is not known",
            FaultKind::FreedTwice => "second free of a block",
            FaultKind::CompletedUnasked => "free completed that nobody asked for",
            FaultKind::Overlap => "block handed out where one lives",
            FaultKind::Size => "request larger than any device",
            FaultKind::SegmentWithoutRequest => "segment without a request",
            FaultKind::TimeGoesBack => "event older than the one before it",
        }
    }
}

/// Faults of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// How often.
    pub count: u64,
    /// The first such event; `None` for what was wrong before the trace.
    pub first: Option<EventIndex>,
}

/// All faults of a trace, in the order of their first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// One a kind.
    pub kinds: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, kind: FaultKind, at: usize) {
        let first = Some(EventIndex(u32::try_from(at).unwrap_or(u32::MAX)));
        self.count(kind, 1, first);
    }

    pub(crate) fn add_many(&mut self, kind: FaultKind, count: u64) {
        if count > 0 {
            self.count(kind, count, None);
        }
    }

    fn count(&mut self, kind: FaultKind, count: u64, first: Option<EventIndex>) {
        match self.kinds.iter_mut().find(|fault| fault.kind == kind) {
            Some(fault) => fault.count += count,
            None => self.kinds.push(Fault { kind, count, first }),
        }
    }
}
