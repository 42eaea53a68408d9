//! Which lines hold more at the peak than they did before: two snapshots, line by line.

use std::path::{Path, PathBuf};

use oomscope_model::Bytes;
use oomscope_report::verify::LineChange;
use oomscope_snapshot::views::{GroupBy, Lines, MomentChoice, Selection, Side, difference};
use oomscope_snapshot::{Recording, Snapshot};

use crate::record::processes;

/// As many lines as are worth reading.
const MOST: usize = 10;

/// The largest differences, first; none where a run has no snapshot.
pub(super) fn by_line(before: &Path, after: &Path) -> Vec<LineChange> {
    let (Some(before), Some(after)) = (snapshot_of(before), snapshot_of(after)) else {
        return Vec::new();
    };
    let devices = before.devices().into_iter().filter(|device| after.devices().contains(device));
    let mut changes = Vec::new();
    for device in devices {
        let (old, new) = (Recording::new(&before, device), Recording::new(&after, device));
        let points = old.point(MomentChoice::Peak).ok().zip(new.point(MomentChoice::Peak).ok());
        let Some((old_point, new_point)) = points else { continue };
        let all = Selection::default();
        let old = Side { recording: &old, point: old_point, selection: &all };
        let new = Side { recording: &new, point: new_point, selection: &all };
        let difference = difference(old, new, GroupBy::Line, Lines::Apart);
        changes.extend(difference.changes.iter().map(|change| LineChange {
            line: change.group.label.clone(),
            before: change.before.bytes,
            after: change.after.bytes,
        }));
    }
    changes.retain(|change| change.before != change.after);
    changes.sort_by_key(|change: &LineChange| {
        std::cmp::Reverse(change.before.0.abs_diff(change.after.0))
    });
    changes.truncate(MOST);
    changes
}

/// The snapshot of the process that held most.
fn snapshot_of(run: &Path) -> Option<Snapshot> {
    let processes = processes(run);
    let peak = |path: &(PathBuf, Bytes)| path.1;
    let path = processes
        .iter()
        .filter_map(|process| {
            let path = process.failure().or_else(|| process.snapshot("exit"))?;
            let record = &process.record;
            let devices = record.device_indices().into_iter();
            let points = devices.flat_map(|device| record.series(device));
            Some((path, points.map(|point| point.peak).max().unwrap_or_default()))
        })
        .max_by_key(peak)?
        .0;
    let content = crate::input::open(&path).ok()?;
    oomscope_snapshot::read_with(&content, &mut |_| {}).ok()
}
