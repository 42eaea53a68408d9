//! Snapshots out of snapshots: written as PyTorch writes them or in a compact form of our own, cut
//! to a stretch of events, split, and stripped of names. Nothing here opens a file.

pub(crate) mod anonymise;
pub(crate) mod cut;
pub(crate) mod native;
pub(crate) mod pickle;
pub(crate) mod pickler;
pub(crate) mod split;

pub use anonymise::{Anonymise, anonymise};
pub use cut::{cut, cut_by};
pub use native::write_native;
pub use pickle::write_pickle;
pub use split::{Split, split};
