//! Sums of blocks by what the user asks for: line, function, stack, category, size, age, ...

use oomscope_model::{Bytes, EventIndex, Frame, FrameOrigin, Phase, Place, StackId};
use rustc_hash::FxHashMap;

use super::category::{Reason, Reasons};
use crate::analysis::Recording;
use crate::analysis::past::Past;
use crate::{LiveBlock, State};

/// What blocks are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The innermost line of the user's.
    Line,
    /// The innermost function of the user's.
    Function,
    /// The file of the innermost line of the user's.
    File,
    /// The innermost module whose `forward` is on the stack.
    Module,
    /// The whole stack.
    Stack,
    /// What the block most likely is.
    Category,
    /// What the program was doing.
    Phase,
    /// The size's power of two.
    Size,
    /// How long ago it was made.
    Age,
    /// The CUDA stream.
    Stream,
    /// The pool of its segment.
    Pool,
}

/// A sum of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes after rounding.
    pub bytes: Bytes,
    /// Bytes asked for.
    pub requested: Bytes,
    /// Number of blocks.
    pub blocks: u64,
    /// Event of the oldest block; `None` when it is older than the trace.
    pub oldest: Option<EventIndex>,
    /// Event of the youngest block; `None` when all are older than the trace.
    pub youngest: Option<EventIndex>,
    is_older_than_trace: bool,
}

impl Tally {
    /// The sum of `blocks`.
    pub fn of<'b>(blocks: impl IntoIterator<Item = &'b LiveBlock>) -> Tally {
        let mut tally = Tally::default();
        for block in blocks {
            tally.add(block);
        }
        tally
    }

    /// Adds a block.
    pub fn add(&mut self, block: &LiveBlock) {
        self.bytes += block.size;
        self.requested += block.requested;
        self.blocks += 1;
        self.is_older_than_trace |= block.allocated_at.is_none();
        self.oldest = match (self.oldest, block.allocated_at) {
            _ if self.is_older_than_trace => None,
            (Some(oldest), Some(at)) => Some(oldest.min(at)),
            (oldest, at) => oldest.or(at),
        };
        self.youngest = self.youngest.max(block.allocated_at);
    }

    /// Bytes lost to rounding.
    pub fn wasted(&self) -> Bytes {
        self.bytes.saturating_sub(self.requested)
    }
}

/// Blocks that share a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The key in words.
    pub label: String,
    /// The user's line, where the key is one.
    pub place: Option<Place>,
    /// The library call right below the user's line, as most of the bytes have it.
    pub library_call: Option<String>,
    /// What most of the bytes are: one of ours or of the user's own.
    pub category: String,
    /// Why the blocks are taken to be what they are, most bytes first.
    pub reasons: Vec<Reason>,
    /// The stack that most of the bytes have.
    pub stack: StackId,
    /// The sum.
    pub tally: Tally,
}

/// What a group is about when no key can be told.
const NO_USER_FRAME: &str = "no frame of the user's";

/// How labels spell code, so that those of two recordings can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    /// Files by another name.
    pub files: FxHashMap<String, String>,
    /// Whether lines are told apart.
    pub lines: Lines,
}

/// Whether lines of one function are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// They are.
    #[default]
    Apart,
    /// They are one: code moves between runs.
    Ignored,
}

impl Spelling {
    fn file<'f>(&'f self, file: &'f str) -> &'f str {
        self.files.get(file).map_or(file, String::as_str)
    }

    fn line(&self, place: &Place) -> String {
        let file = self.file(&place.file);
        match self.lines {
            Lines::Apart => format!("{file}:{}", place.line),
            Lines::Ignored => self.function(place),
        }
    }

    fn function(&self, place: &Place) -> String {
        let function = place.function.as_deref().unwrap_or("?");
        format!("{function} ({})", self.file(&place.file))
    }

    fn frame(&self, frame: &Frame) -> String {
        let file = self.file(&frame.file);
        match self.lines {
            Lines::Apart => format!("{file}:{}:{}", frame.line, frame.function),
            Lines::Ignored => format!("{file}:{}", frame.function),
        }
    }
}

/// Sums the given blocks of a state, most bytes first.
pub fn grouped<'b>(
    recording: &Recording<'_>,
    at: crate::At,
    state: &State,
    blocks: impl IntoIterator<Item = &'b LiveBlock>,
    by: GroupBy,
) -> Vec<Group> {
    spelt_groups(recording, at, state, blocks, by, &Spelling::default())
}

/// As [`grouped`], with labels in the given spelling.
pub(super) fn spelt_groups<'b>(
    recording: &Recording<'_>,
    at: crate::At,
    state: &State,
    blocks: impl IntoIterator<Item = &'b LiveBlock>,
    by: GroupBy,
    spelling: &Spelling,
) -> Vec<Group> {
    let past = recording.past(at, state);
    let now = recording.history().time(at);
    let keys = Keys { recording, past: &past, state, by, now, spelling };
    let categories = recording.categories();
    let mut groups: FxHashMap<String, Building> = FxHashMap::default();
    let mut by_stack: FxHashMap<StackId, String> = FxHashMap::default();
    for block in blocks {
        let key = if keys.depends_on_stack_alone() {
            by_stack.entry(block.stack).or_insert_with(|| keys.label(block)).clone()
        } else {
            keys.label(block)
        };
        let group = groups.entry(key).or_default();
        group.tally.add(block);
        *group.stacks.entry(block.stack).or_default() += block.size;
        group.reasons.add(categories.of(block), block);
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(label, group)| group.finish(label, recording, &past, by))
        .collect();
    groups.sort_by(|a, b| b.tally.bytes.cmp(&a.tally.bytes).then_with(|| a.label.cmp(&b.label)));
    groups
}

#[derive(Default)]
struct Building {
    tally: Tally,
    stacks: FxHashMap<StackId, Bytes>,
    reasons: Reasons,
}

impl Building {
    fn finish(
        self,
        label: String,
        recording: &Recording<'_>,
        past: &Past<'_>,
        by: GroupBy,
    ) -> Group {
        let stack = heaviest(&self.stacks).unwrap_or(StackId::NONE);
        let summary = past.summary(stack);
        let names_a_line = matches!(by, GroupBy::Line | GroupBy::Stack);
        Group {
            label,
            place: summary.place.clone().filter(|_| names_a_line),
            library_call: summary.library_call.clone().filter(|_| names_a_line),
            category: recording.category_name(self.reasons.heaviest()),
            reasons: self.reasons.finish(recording),
            stack,
            tally: self.tally,
        }
    }
}

fn heaviest<K: Copy + Ord>(sums: &FxHashMap<K, Bytes>) -> Option<K> {
    sums.iter().max_by_key(|(key, bytes)| (**bytes, std::cmp::Reverse(**key))).map(|(key, _)| *key)
}

/// What blocks are called.
pub(super) struct Keys<'a> {
    pub(super) recording: &'a Recording<'a>,
    pub(super) past: &'a Past<'a>,
    pub(super) state: &'a State,
    pub(super) by: GroupBy,
    pub(super) now: u32,
    pub(super) spelling: &'a Spelling,
}

impl Keys<'_> {
    pub(super) fn depends_on_stack_alone(&self) -> bool {
        matches!(
            self.by,
            GroupBy::Line | GroupBy::Function | GroupBy::File | GroupBy::Module | GroupBy::Stack
        )
    }

    /// The key of a block, in words.
    pub(super) fn label(&self, block: &LiveBlock) -> String {
        let summary = self.past.summary(block.stack);
        let spelling = self.spelling;
        let of_place = |text: fn(&Spelling, &Place) -> String| {
            let place = summary.place.as_ref();
            place.map_or_else(|| NO_USER_FRAME.to_owned(), |place| text(spelling, place))
        };
        match self.by {
            GroupBy::Line => of_place(Spelling::line),
            GroupBy::Function => of_place(Spelling::function),
            GroupBy::File => of_place(|spelling, place| spelling.file(&place.file).to_owned()),
            GroupBy::Module => {
                let module = self.recording.module_label(block.stack);
                module.unwrap_or_else(|| "outside any module".to_owned())
            }
            GroupBy::Stack => self.stack(block.stack),
            GroupBy::Category => {
                self.recording.category_name(self.recording.categories().of(block).kind)
            }
            GroupBy::Phase => {
                let phase = self.recording.phase_label_of(block);
                phase.unwrap_or_else(|| Phase::Unknown.name().to_owned())
            }
            GroupBy::Size => size_class(block.size),
            GroupBy::Age => self.age(block),
            GroupBy::Stream => format!("stream {}", block.stream),
            GroupBy::Pool => self.pool(block),
        }
    }

    fn stack(&self, stack: StackId) -> String {
        let only_user = self.recording.shows_user_frames_only();
        let mut frames: Vec<String> = self
            .recording
            .snapshot()
            .stacks
            .frames_of(stack)
            .filter(|frame| !only_user || frame.origin() == FrameOrigin::User)
            .map(|frame| self.spelling.frame(frame))
            .collect();
        if frames.is_empty() {
            return if only_user { NO_USER_FRAME } else { "no stack recorded" }.to_owned();
        }
        frames.reverse();
        frames.join(";")
    }

    /// Decades of time where times are known, of events elsewhere.
    fn age(&self, block: &LiveBlock) -> String {
        let Some(made) = block.allocated_at else { return "older than the recording".to_owned() };
        let trace = self.recording.trace();
        let time = |event: u32| trace?.event(EventIndex(event))?.time_us;
        let elapsed = time(self.now.saturating_sub(1))
            .zip(time(made.0))
            .and_then(|(now, then)| now.checked_sub(then));
        match elapsed {
            Some(0..1_000) => "under 1 ms".to_owned(),
            Some(1_000..10_000) => "1 to 10 ms".to_owned(),
            Some(10_000..100_000) => "10 to 100 ms".to_owned(),
            Some(100_000..1_000_000) => "0.1 to 1 s".to_owned(),
            Some(1_000_000..10_000_000) => "1 to 10 s".to_owned(),
            Some(10_000_000..100_000_000) => "10 to 100 s".to_owned(),
            Some(_) => "over 100 s".to_owned(),
            None => match self.now.saturating_sub(made.0) {
                0..100 => "under 100 events".to_owned(),
                100..1_000 => "100 to 1,000 events".to_owned(),
                1_000..10_000 => "1,000 to 10,000 events".to_owned(),
                10_000..100_000 => "10,000 to 100,000 events".to_owned(),
                _ => "over 100,000 events".to_owned(),
            },
        }
    }

    fn pool(&self, block: &LiveBlock) -> String {
        self.state
            .segment_of(block.addr)
            .map_or_else(|| "unknown pool".to_owned(), crate::SegmentRange::pool_name)
    }
}

/// The power-of-two class of a size, both ends in words.
fn size_class(size: Bytes) -> String {
    let top = Bytes(size.0.max(512).checked_next_power_of_two().unwrap_or(u64::MAX));
    if top.0 <= 512 {
        "up to 512 bytes".to_owned()
    } else {
        format!("{} to {top}", Bytes(top.0 / 2))
    }
}
