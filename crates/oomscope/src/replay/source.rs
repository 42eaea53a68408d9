//! The recording that `replay` and `tune` are of: a file, one device of it, its trace.

use clap::Args;
use oomscope_allocator::{Release, ReleaseError};
use oomscope_diagnose::replay::{Recorded, follow_recorded};
use oomscope_model::{DeviceId, EventKind, Problem};
use oomscope_snapshot::Snapshot;

use crate::snapshot::load::{Damage, Loaded, load, warn_of_damage};
use crate::snapshot::views::problem;

/// Which recording.
#[derive(Args)]
#[command(next_help_heading = "Recording")]
pub(crate) struct SourceArguments {
    /// A snapshot with a trace (pickle, JSON, the memory viewer's HTML, also gzip or zstd); `-` for
    /// standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// The device [default: the one that a request failed on, else the one with most events].
    #[arg(long, value_name = "ORDINAL")]
    pub(crate) device: Option<u32>,
    /// The PyTorch release that wrote the file, as `2.9` [default: told from the file's keys].
    #[arg(long = "version", value_name = "RELEASE", value_parser = release)]
    pub(crate) version: Option<Release>,
    /// Use what could be read of a damaged or truncated file.
    #[arg(long)]
    pub(crate) partial: bool,
}

/// A device's trace beside the model.
pub(crate) struct Source {
    pub(crate) loaded: Loaded,
    pub(crate) device: DeviceId,
    pub(crate) recorded: Recorded,
}

impl SourceArguments {
    /// Reads the file and runs the model beside the trace.
    pub(crate) fn open(&self) -> Result<Source, Problem> {
        let damage = if self.partial { Damage::Accept } else { Damage::Refuse };
        let loaded = load(&self.file, damage)?;
        warn_of_damage(&loaded);
        let device = self
            .device(&loaded.snapshot)
            .map_err(|(what, hint)| Problem { hint, ..problem(&loaded.name, what) })?;
        let recorded = follow_recorded(&loaded.snapshot, device, self.version);
        if recorded.followed.program.requests() == 0 {
            let (what, hint) = without_trace("the history has no request for memory");
            return Err(Problem { hint, ..problem(&loaded.name, what) });
        }
        Ok(Source { loaded, device, recorded })
    }

    /// The device asked for, or the one that is most likely meant.
    fn device(&self, snapshot: &Snapshot) -> Result<DeviceId, (String, Option<String>)> {
        let traced = || snapshot.traces.iter().filter(|trace| !trace.is_empty());
        let devices = snapshot.devices();
        if let Some(wanted) = self.device {
            if !devices.contains(&DeviceId(wanted)) {
                let known: Vec<String> = devices.iter().map(|it| it.0.to_string()).collect();
                let what = match known.as_slice() {
                    [] => format!("no device {wanted} in it; it has none"),
                    known => format!("no device {wanted} in it; it has {}", known.join(", ")),
                };
                return Err((what, None));
            }
            if !traced().any(|trace| trace.device.0 == wanted) {
                return Err(without_trace(&format!("no history was recorded of device {wanted}")));
            }
            return Ok(DeviceId(wanted));
        }
        let failed =
            traced().find(|trace| trace.iter().any(|(_, event)| event.kind == EventKind::Oom));
        // Of devices with as many events, the first.
        let longest = || traced().rev().max_by_key(|trace| trace.len());
        let chosen = failed.or_else(longest).map(|trace| trace.device);
        chosen.ok_or_else(|| without_trace("no history was recorded"))
    }
}

fn without_trace(what: &str) -> (String, Option<String>) {
    let hint = "call `torch.cuda.memory._record_memory_history()` before the model is built, and \
                `_dump_snapshot()` after it ran";
    (format!("{what}: there is nothing to replay"), Some(hint.to_owned()))
}

/// The first release with recorded histories of this form.
const OLDEST: Release = Release { major: 2, minor: 0 };

/// A release as the command line has it.
pub(crate) fn release(text: &str) -> Result<Release, String> {
    let release: Release = text.parse().map_err(|error: ReleaseError| error.to_string())?;
    if release < OLDEST || release.major > OLDEST.major {
        return Err(format!("the model knows PyTorch {OLDEST} to {}", Release::NEWEST));
    }
    Ok(release)
}
