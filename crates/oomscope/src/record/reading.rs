//! What the processes of a run left behind.

use std::fs;
use std::path::{Path, PathBuf};

use oomscope_diagnose::record::{self, ProcessRecord};

/// More of `records.jsonl` than this is not read: the agent writes about 16 MiB.
const LARGEST_RECORDS: u64 = 256 << 20;

/// A process's folder and its records.
pub(crate) struct Process {
    pub(crate) folder: PathBuf,
    /// `p1234`, `rank0-p1235`.
    pub(crate) name: String,
    pub(crate) record: ProcessRecord,
}

impl Process {
    /// The newest snapshot that was written for a reason, if it is there.
    pub(crate) fn snapshot(&self, reason: &str) -> Option<PathBuf> {
        let written = self.record.snapshots.iter().rev();
        let named = written.filter(|s| s.reason.as_deref() == Some(reason));
        let mut paths = named.filter_map(|s| Some(self.folder.join(s.snapshot.as_ref()?)));
        paths.find(|path| path.is_file())
    }

    /// The snapshot of the failure that was not caught; else of the first that was.
    pub(crate) fn failure(&self) -> Option<PathBuf> {
        let uncaught = self.record.ooms.iter().rev().filter(|oom| !oom.caught);
        let mut ooms = uncaught.chain(self.record.ooms.iter().filter(|oom| oom.caught));
        let named = ooms.find_map(|oom| {
            let path = self.folder.join(oom.snapshot.as_ref()?);
            path.is_file().then_some(path)
        });
        named.or_else(|| self.snapshot("oom"))
    }
}

/// Every process of a run, in the order of their names: ranks first.
pub(crate) fn processes(run: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir(run) else { return Vec::new() };
    let mut found: Vec<Process> = entries
        .flatten()
        .filter_map(|entry| {
            let folder = entry.path();
            let records = folder.join("records.jsonl");
            if fs::metadata(&records).ok()?.len() > LARGEST_RECORDS {
                return None;
            }
            // A crash may leave half a character at the end.
            let bytes = fs::read(&records).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            let record = record::read(&records.display().to_string(), &text);
            let name = entry.file_name().to_string_lossy().into_owned();
            Some(Process { folder, name, record })
        })
        .collect();
    found.sort_by_key(|process| {
        let start = process.record.start.as_ref();
        (start.and_then(|start| start.rank).unwrap_or(u32::MAX), process.name.clone())
    });
    found
}
