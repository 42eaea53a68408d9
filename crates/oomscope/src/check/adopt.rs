//! `--add-allow`: comments for what is found today, so that only what is new is told tomorrow.

use oomscope_report::check::{CheckReport, Shown};
use oomscope_source::allow::additions;
use oomscope_source::{Group, rule};

use super::fixes::{with_edits, write};
use super::source::{Source, problem};

/// Writes the comments. Returns how many findings they allow, in how many files.
pub(crate) fn adopt(sources: &[Source], report: &mut CheckReport, shown: Shown) -> (usize, usize) {
    let (mut findings, mut files) = (0, 0);
    for source in sources {
        let Some(file) = report.files.iter_mut().find(|file| file.path == source.name) else {
            continue;
        };
        let wanted: Vec<(u32, &str)> = file
            .findings
            .iter()
            .filter(|finding| finding.severity >= shown.least)
            .filter(|finding| rule(finding.rule).is_some_and(|rule| rule.group != Group::Tool))
            .map(|finding| (finding.place.line, finding.name))
            .collect();
        let edits = additions(&source.name, &source.code, &wanted);
        if edits.is_empty() {
            continue;
        }
        let written = match with_edits(source, &edits) {
            Ok(next) => write(&next).map_err(|error| format!("{error:#}")),
            Err(what) => Err(what),
        };
        match written {
            Ok(()) => {
                findings += wanted.len();
                files += 1;
            }
            Err(what) => report.problems.push(problem(&source.name, None, what)),
        }
    }
    (findings, files)
}
