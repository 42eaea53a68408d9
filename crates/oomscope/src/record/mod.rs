//! Recorded runs: a command launched with the agent inside, its run directory, its diagnosis.

mod agent;
mod attach;
mod directory;
mod evidence;
mod launch;
mod listing;
mod reading;
mod run;
mod sampler;
mod tail;

pub(crate) use attach::{AttachArguments, run as attach};
pub(crate) use directory::{find, named, read_info};
pub(crate) use evidence::evidence;
pub(crate) use launch::{Ended, Launch, Output, Snapshots, launch};
pub(crate) use listing::{RunsArguments, run as runs};
pub(crate) use reading::{Process, processes};
pub(crate) use run::{RecordArguments, RunArguments, run, shown};
