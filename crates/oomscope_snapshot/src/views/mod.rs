//! What `oomscope snapshot` asks of a recording. Each view is plain data; rendering is elsewhere.

mod annotations;
mod bands;
mod category;
mod diff;
mod fragmentation;
mod grouping;
mod label;
mod leaks;
mod lifetimes;
mod live;
mod moment;
mod over_time;
mod same_files;
mod segment_map;
mod selection;
mod series;
mod spans;
mod stack_sums;
mod summary;

pub use annotations::{LabelKind, LabelRow, LabelTable, annotations};
pub use category::{Category, Reason};
pub use diff::{Change, Difference, Fate, Side, difference};
pub use fragmentation::{
    FailedRequest, Fragmentation, FragmentationVerdict, FreePool, NotTheCause, Pin, PinnedBy,
    SizeClass, fragmentation,
};
pub use grouping::{Group, GroupBy, Lines, Spelling, Tally, grouped};
pub use leaks::{
    AgeClass, Course, Forecast, Heaviest, LeakError, LeakGroup, LeakOptions, Leaks, Rate, StepsBy,
    StepsFrom, Trend, Verdict, Why, leaks,
};
pub use lifetimes::{Churn, Clock, GroupLives, LifetimeBucket, Lifetimes, SHORT_LIVED, lifetimes};
pub use live::{LiveSet, live_set};
pub use moment::{MomentChoice, MomentError, Point};
pub use over_time::{Axis, Band, Bucket, Counter, OverTime, OverTimeOptions, over_time};
pub use segment_map::{
    MappedBlock, MappedSegment, PoolTotal, SegmentMap, SegmentOrder, segment_map,
};
pub use selection::{PoolChoice, Selection, StackSet};
pub use series::{Extent, SeriesTree};
pub use spans::{BlockSpan, CounterSample, Spans, spans};
pub use stack_sums::{Scope, StackSum, StackSums, stack_sums};
pub use summary::{Summary, summary};
