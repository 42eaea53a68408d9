//! What `oomscope snapshot` asks of a recording. Each view is plain data; rendering is elsewhere.

mod annotations;
mod category;
mod grouping;
mod label;
mod live;
mod moment;
mod selection;
mod summary;

pub use annotations::{LabelKind, LabelRow, LabelTable, annotations};
pub use category::{Category, Reason};
pub use grouping::{Group, GroupBy, Tally, grouped};
pub use live::{LiveSet, live_set};
pub use moment::{MomentChoice, MomentError, Point};
pub use selection::{PoolChoice, Selection, StackSet};
pub use summary::{Summary, summary};
