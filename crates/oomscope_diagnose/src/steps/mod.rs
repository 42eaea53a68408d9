//! The six steps of a diagnosis, one file each, and what the report ends with.

pub(crate) mod culprit;
pub(crate) mod escalate;
pub(crate) mod excerpt;
pub(crate) mod fix;
pub(crate) mod options;
pub(crate) mod report;
pub(crate) mod state;
pub(crate) mod verify;
