//! `oomscope explain NAME`: the page of a cause or a rule.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oomscope_model::Cause;
use oomscope_report::{Charset, Detail};
use oomscope_source::Group;

use crate::cli::{ColorChoice, ExplainArguments};
use crate::output::{self, Replace};

pub(crate) fn run(arguments: &ExplainArguments, color: ColorChoice) -> Result<ExitCode> {
    let style = output::style(color, false, Detail::Full, Charset::Unicode);
    let page = match &arguments.name {
        Some(name) => page(name)?,
        None => list(),
    };
    output::deliver(None, Replace::Refuse, |out| oomscope_report::render_page(&page, &style, out))?;
    Ok(ExitCode::SUCCESS)
}

fn page(name: &str) -> Result<String> {
    let wanted = name.trim().to_lowercase();
    if let Ok(cause) = wanted.parse::<Cause>() {
        return Ok(oomscope_diagnose::cause_page(cause).to_owned());
    }
    if let Some(rule) =
        oomscope_source::rule(&wanted).or_else(|| oomscope_source::rule(&wanted.to_uppercase()))
    {
        return Ok(rule.doc.to_owned());
    }
    if let Some(group) = Group::ALL.into_iter().find(|group| group.name() == wanted) {
        return group_page(group);
    }
    let near: Vec<&str> = names()
        .filter(|known| known.contains(&wanted) || shares_a_word(known, &wanted))
        .take(5)
        .collect();
    if near.is_empty() {
        bail!("no cause or rule is called `{name}`; `oomscope explain` lists them");
    }
    bail!("no cause or rule is called `{name}`; did you mean {}?", near.join(", "))
}

/// The rules of a group, as a page.
fn group_page(group: Group) -> Result<String> {
    let rules: Vec<_> = group.rules().iter().map(crate::check::entry).collect();
    let mut page = format!("# {group}\n\n");
    for rule in &rules {
        let summary = rule.summary().replace('\n', " ");
        let _ = writeln!(page, "- `{}` {}: {summary}", rule.id, rule.name);
    }
    if rules.is_empty() {
        bail!("the group `{group}` has no rules yet");
    }
    Ok(page)
}

fn shares_a_word(known: &str, wanted: &str) -> bool {
    wanted.split(['-', '_', ' ']).any(|word| word.len() >= 4 && known.contains(word))
}

fn names() -> impl Iterator<Item = &'static str> {
    Cause::ALL
        .iter()
        .map(|cause| cause.name())
        .chain(oomscope_source::rules().map(|rule| rule.name))
        .chain(Group::ALL.into_iter().map(Group::name))
}

fn list() -> String {
    let mut lines = vec!["# Causes\n".to_owned()];
    for cause in Cause::ALL {
        let summary = oomscope_diagnose::cause_page(*cause)
            .lines()
            .skip(1)
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        lines.push(format!("- `{cause}`: {summary}"));
    }
    lines.push("\n# Source rules\n".to_owned());
    for rule in oomscope_source::rules() {
        lines.push(format!("- `{}` {}: {}", rule.id, rule.name, rule.cause));
    }
    lines.join("\n") + "\n"
}
