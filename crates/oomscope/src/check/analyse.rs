//! From files to a report: the analysis (or the cache), then what settings and comments leave.

use std::collections::BTreeSet;

use oomscope_model::{Finding, Problem};
use oomscope_report::check::{Cell, CheckReport, CheckedFile, RuleEntry};
use oomscope_source::allow::{Allow, suppress};
use oomscope_source::{InputFile, Rule, notebook};

use super::cache::{self, Cache};
use super::source::Source;

/// What the analysis says of one file, before anybody selects or allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) findings: Vec<Finding>,
    pub(crate) allows: Vec<Allow>,
}

/// What the analysis says of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Analysis {
    pub(crate) files: Vec<Raw>,
    pub(crate) problems: Vec<Problem>,
}

/// Analyses all files together, or finds in the cache what an earlier run found in them.
pub(crate) fn analyse(sources: &mut [Source], cache: Option<&Cache>) -> Analysis {
    let key = cache.map(|_| cache::key(sources));
    if let (Some(cache), Some(key)) = (cache, key)
        && let Some(known) = cache.load(key, sources)
    {
        for (source, raw) in sources.iter_mut().zip(&known.files) {
            if let Some(json) = &source.json
                && !(raw.findings.is_empty() && raw.allows.is_empty())
            {
                source.code = notebook::code(json).unwrap_or_default();
            }
        }
        return known;
    }
    let files = sources
        .iter_mut()
        .map(|source| InputFile {
            path: source.name.clone(),
            text: match &source.json {
                Some(json) => json.clone(),
                None => std::mem::take(&mut source.code),
            },
        })
        .collect();
    let checked = oomscope_source::check(files);
    let mut analysis = Analysis { files: Vec::new(), problems: checked.problems };
    let results = checked.evidence.files.into_iter().zip(checked.allows);
    for (source, (file, allows)) in sources.iter_mut().zip(results) {
        source.code = file.text;
        analysis.files.push(Raw { findings: file.findings, allows });
    }
    if let (Some(cache), Some(key)) = (cache, key) {
        cache.store(key, &analysis);
    }
    analysis
}

/// The findings that settings and comments leave, with what they are shown with.
pub(crate) fn report(sources: &[Source], analysis: Analysis) -> CheckReport {
    let mut problems = analysis.problems;
    let mut files: Vec<CheckedFile> = Vec::new();
    for (source, mut raw) in sources.iter().zip(analysis.files) {
        let settings = &source.settings;
        let path = source.path.as_deref().unwrap_or(std::path::Path::new(&source.name));
        let ignored = settings.ignored_in(path);
        let is_on = |rule: &Rule| settings.is_on(rule, &ignored);
        raw.findings.retain(|finding| {
            oomscope_source::rule(finding.rule).is_none_or(|rule| settings.is_on(rule, &ignored))
        });
        let findings = &mut raw.findings;
        suppress(&source.name, &source.code, &raw.allows, &is_on, findings, &mut problems);
        for finding in &mut raw.findings {
            if let Some(severity) = settings.severity_of(finding.rule) {
                finding.severity = severity;
            }
        }
        files.push(CheckedFile {
            path: source.name.clone(),
            findings: raw.findings,
            ..CheckedFile::default()
        });
    }
    let shown: BTreeSet<String> = files
        .iter()
        .flat_map(|file| &file.findings)
        .flat_map(|finding| {
            let steps = finding.path.iter().map(|step| step.place.file.clone());
            steps.chain([finding.place.file.clone()])
        })
        .collect();
    for (file, source) in files.iter_mut().zip(sources) {
        if shown.contains(&file.path) {
            file.text.clone_from(&source.code);
            let cells = source.json.as_deref().map(notebook::cells).unwrap_or_default();
            file.cells = cells
                .into_iter()
                .map(|start| Cell { number: start.cell, line: start.line })
                .collect();
        }
    }
    files.retain(|file| shown.contains(&file.path));
    let on = |rule: &&Rule| sources.iter().any(|one| one.settings.selection.is_on(rule.id));
    CheckReport {
        files,
        files_checked: sources.len(),
        problems,
        fixed: Vec::new(),
        rules: oomscope_source::rules().filter(on).map(entry).collect(),
    }
}

/// A rule as it is listed.
pub(crate) fn entry(rule: &'static Rule) -> RuleEntry {
    RuleEntry {
        id: rule.id,
        name: rule.name,
        group: rule.group.name(),
        cause: rule.cause,
        severity: rule.severity,
        page: rule.doc,
    }
}
