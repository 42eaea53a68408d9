//! How often each rule found something.

use std::collections::BTreeMap;
use std::io::{self, Write};

use oomscope_model::FixSafety;

use super::{CheckReport, Shown};
use crate::TextStyle;
use crate::layout::{Tone, write_line};

/// Counts of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statistic {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) safe: usize,
    pub(super) unsafe_: usize,
}

/// Counts by rule, most first.
pub(super) fn statistics(report: &CheckReport, shown: Shown) -> Vec<Statistic> {
    let mut rules: BTreeMap<&'static str, Statistic> = BTreeMap::new();
    for (_, finding) in report.findings(shown) {
        let empty =
            Statistic { id: finding.rule, name: finding.name, count: 0, safe: 0, unsafe_: 0 };
        let own = rules.entry(finding.rule).or_insert(empty);
        own.count += 1;
        match finding.fix.as_ref().map(|fix| fix.safety) {
            Some(FixSafety::Safe) => own.safe += 1,
            Some(FixSafety::Unsafe) => own.unsafe_ += 1,
            Some(FixSafety::Suggest) | None => {}
        }
    }
    let mut all: Vec<Statistic> = rules.into_values().collect();
    all.sort_by_key(|one| (std::cmp::Reverse(one.count), one.id));
    all
}

/// Writes a line a rule: count, id, `[*]` where `--fix` helps, name.
pub fn render_statistics(
    report: &CheckReport,
    shown: Shown,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = *style;
    let all = statistics(report, shown);
    let width = all.iter().map(|one| one.count.to_string().len()).max().unwrap_or(1);
    for one in &all {
        let mark = match (one.safe, one.unsafe_) {
            (0, 0) => "[ ]",
            (0, _) => "[-]",
            (..) => "[*]",
        };
        let line = [
            style.span(Tone::Strong, &format!("{:>width$}", one.count)),
            style.span(Tone::Plain, &format!("  {}  ", one.id)),
            style.span(Tone::Good, mark),
            style.span(Tone::Plain, &format!(" {}", one.name)),
        ];
        write_line(out, style, &line)?;
    }
    if all.iter().any(|one| one.safe + one.unsafe_ > 0) {
        let key = "[*] `--fix` helps, [-] `--unsafe-fixes` helps";
        write_line(out, style, &[style.span(Tone::Faint, key)])?;
    }
    Ok(())
}
