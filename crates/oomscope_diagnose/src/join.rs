//! Joins source findings to live bytes: a finding is warm when bytes that live at the failure
//! were made below the function that it lies in; cold findings are not the cause.

use oomscope_model::{Bytes, Finding, Place, SnapshotEvidence, SourceEvidence, SourceFile};

/// A finding and what the evidence says of its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined<'a> {
    pub(crate) finding: &'a Finding,
    pub(crate) file: &'a SourceFile,
    /// Bytes that survive step after step and were made below the finding's function.
    pub(crate) growing: Bytes,
    /// Live bytes made below the finding's function, growing or not.
    pub(crate) live: Bytes,
    /// How many calls lie between the finding's function and the line that made the bytes.
    pub(crate) distance: usize,
    /// Whether the failing request came from below the finding's function.
    pub(crate) on_failing_path: bool,
}

impl Joined<'_> {
    /// Whether any evidence of the failure touches the finding's place.
    pub(crate) fn is_warm(&self) -> bool {
        self.growing > Bytes::ZERO || self.live > Bytes::ZERO || self.on_failing_path
    }
}

/// Every finding, warmest first.
pub(crate) fn join<'a>(
    source: &'a SourceEvidence,
    snapshot: Option<&SnapshotEvidence>,
    asked: &[Place],
) -> Vec<Joined<'a>> {
    let mut joined: Vec<Joined<'a>> = source
        .files
        .iter()
        .flat_map(|file| file.findings.iter().map(move |finding| (file, finding)))
        .map(|(file, finding)| {
            let depth_in = |places: &mut dyn Iterator<Item = &Place>| {
                places
                    .enumerate()
                    .find(|(_, place)| lies_in(source, file, finding, place))
                    .map(|(depth, _)| depth)
            };
            let mut distance = usize::MAX;
            let (mut growing, mut live) = (Bytes::ZERO, Bytes::ZERO);
            for line in snapshot
                .iter()
                .filter_map(|snapshot| snapshot.growth.as_ref())
                .flat_map(|growth| &growth.lines)
            {
                if let Some(depth) = depth_in(&mut line.place.iter().chain(&line.callers)) {
                    growing += line.bytes;
                    distance = distance.min(depth);
                }
            }
            for holder in snapshot.iter().flat_map(|snapshot| &snapshot.holders) {
                if let Some(depth) = depth_in(&mut holder.place.iter().chain(&holder.callers)) {
                    live += holder.bytes;
                    distance = distance.min(depth);
                }
            }
            let on_failing_path = depth_in(&mut asked.iter()).is_some();
            Joined { finding, file, growing, live, distance, on_failing_path }
        })
        .collect();
    joined.sort_by(|a, b| {
        (b.growing, b.finding.severity, b.live)
            .cmp(&(a.growing, a.finding.severity, a.live))
            .then(a.distance.cmp(&b.distance))
            .then_with(|| a.finding.place.cmp(&b.finding.place))
    });
    joined
}

fn lies_in(source: &SourceEvidence, file: &SourceFile, finding: &Finding, place: &Place) -> bool {
    let (first, last) = finding.function_lines;
    (first..=last).contains(&place.line)
        && file_of(source, place).is_some_and(|found| std::ptr::eq(found, file))
}

/// The given file that a recorded place lies in: same name, and the longest common tail of folders.
pub(crate) fn file_of<'a>(source: &'a SourceEvidence, place: &Place) -> Option<&'a SourceFile> {
    source
        .files
        .iter()
        .map(|file| (place.shared_tail(&file.path), file))
        .filter(|(shared, _)| *shared >= 1)
        .max_by_key(|(shared, file)| (*shared, std::cmp::Reverse(file.path.len())))
        .map(|(_, file)| file)
}
