//! What `oomscope snapshot` asks of a recording. Each view is plain data; rendering is elsewhere.

mod bands;
mod grouping;
mod live;
mod moment;
mod over_time;
mod segment_map;
mod selection;
mod series;
mod summary;

pub use grouping::{Group, GroupBy, Tally, grouped};
pub use live::{LiveSet, live_set};
pub use moment::{MomentChoice, MomentError, Point};
pub use over_time::{Axis, Band, Bucket, Counter, OverTime, OverTimeOptions, over_time};
pub use segment_map::{
    MappedBlock, MappedSegment, PoolTotal, SegmentMap, SegmentOrder, segment_map,
};
pub use selection::{PoolChoice, Selection, StackSet};
pub use series::{Extent, SeriesTree};
pub use summary::{Summary, summary};
