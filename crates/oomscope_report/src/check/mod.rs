//! What `oomscope check` found, in every form that it prints. One [`CheckReport`] serves all: text
//! and one-liners for people, JSON, SARIF, JUnit and the annotations of code hosts.

mod concise;
mod fingerprint;
mod github;
mod gitlab;
mod json;
mod junit;
mod markdown;
mod place;
mod rules;
mod sarif;
mod statistics;
mod summary;
mod text;
mod wire;

use oomscope_model::{Cause, Finding, Problem, Severity};

pub use concise::render_concise;
pub use github::render_github;
pub use gitlab::render_gitlab;
pub use json::{Statistics, json_schema, render_json};
pub(crate) use junit::escaped;
pub use junit::render_junit;
pub use markdown::render_markdown;
pub use rules::{render_rules_json, render_rules_markdown, render_rules_page, render_rules_text};
pub use sarif::render_sarif;
pub use statistics::render_statistics;
pub use summary::render_summary;
pub use text::render_text;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Files with findings, and those that their paths lead through, in the order of the check.
    pub files: Vec<CheckedFile>,
    /// How many files were checked.
    pub files_checked: usize,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What was fixed, by rule id, with how often.
    pub fixed: Vec<(&'static str, usize)>,
    /// The rules that were on, by id.
    pub rules: Vec<RuleEntry>,
}

/// A file that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedFile {
    /// Its path, as findings name it.
    pub path: String,
    /// Its text; of a notebook the code cells, joined.
    pub text: String,
    /// Of a notebook: where its cells start.
    pub cells: Vec<Cell>,
    /// Its findings, by line.
    pub findings: Vec<Finding>,
}

/// The first line of a notebook's code cell in the joined text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// 1-based number among all cells.
    pub number: u32,
    /// 1-based line of the joined text.
    pub line: u32,
}

/// A rule, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// `OOM101`.
    pub id: &'static str,
    /// `loss-accumulation`.
    pub name: &'static str,
    /// The group's name.
    pub group: &'static str,
    /// The cause that its findings join.
    pub cause: Cause,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// Its page, in Markdown.
    pub page: &'static str,
}

impl RuleEntry {
    /// The first paragraph of its page: what it finds.
    pub fn summary(&self) -> &'static str {
        let after_title = self.page.split_once('\n').map_or("", |(_, rest)| rest);
        after_title.trim_start().split("\n\n").next().unwrap_or_default().trim()
    }

    /// What its page says of a fix, if it has one.
    pub fn fix(&self) -> Option<&'static str> {
        let (_, section) = self.page.split_once("\n## Fix\n")?;
        Some(section.split("\n## ").next().unwrap_or_default().trim())
    }
}

/// Which findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The least severity.
    pub least: Severity,
}

impl CheckReport {
    /// The findings of at least this severity, with their files.
    pub(crate) fn findings(
        &self,
        shown: Shown,
    ) -> impl Iterator<Item = (&CheckedFile, &Finding)> + Clone {
        self.files
            .iter()
            .flat_map(|file| file.findings.iter().map(move |finding| (file, finding)))
            .filter(move |(_, finding)| finding.severity >= shown.least)
    }
}

/// The word for a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// Text from outside, harmless on a terminal: control characters are spelled out, line ends stay.
pub fn harmless(text: &str) -> String {
    crate::clean::clean_lines(text)
}
