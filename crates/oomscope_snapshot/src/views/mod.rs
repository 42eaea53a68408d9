//! What `oomscope snapshot` asks of a recording. Each view is plain data; rendering is elsewhere.

mod annotations;
mod category;
mod grouping;
mod label;
mod fragmentation;
mod leaks;
mod live;
mod moment;
mod selection;
mod summary;

pub use annotations::{LabelKind, LabelRow, LabelTable, annotations};
pub use category::{Category, Reason};
pub use fragmentation::{
    FailedRequest, Fragmentation, FragmentationVerdict, FreePool, NotTheCause, Pin, PinnedBy,
    SizeClass, fragmentation,
};
pub use grouping::{Group, GroupBy, Tally, grouped};
pub use leaks::{
    AgeClass, Course, Forecast, LeakError, LeakGroup, LeakOptions, Leaks, StepsBy, StepsFrom, Trend,
    Verdict, Why, leaks,
};
pub use live::{LiveSet, live_set};
pub use moment::{MomentChoice, MomentError, Point};
pub use selection::{PoolChoice, Selection, StackSet};
pub use summary::{Summary, summary};
