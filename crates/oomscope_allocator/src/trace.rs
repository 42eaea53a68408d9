//! What a replay reads: events, and what was held before the first one.

use oomscope_model::Event;

use crate::pool::PoolId;

/// The events of one device, oldest first.
pub trait Trace {
    /// Number of events.
    fn len(&self) -> usize;

    /// The event at an index; `None` from [`Trace::len`] on.
    fn event(&self, index: usize) -> Option<Event>;

    /// The pool that an `alloc` or `oom` event belongs to; `(0, 0)` for the default one.
    fn pool(&self, index: usize) -> PoolId;

    /// Whether nothing was recorded.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Events of the default pool.
impl Trace for [Event] {
    fn len(&self) -> usize {
        self.len()
    }

    fn event(&self, index: usize) -> Option<Event> {
        self.get(index).copied()
    }

    fn pool(&self, _index: usize) -> PoolId {
        (0, 0)
    }
}
