//! `oomscope rules`: the table of source rules.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use oomscope_report::check::{self as render, RuleEntry};
use oomscope_report::{Charset, Detail};
use oomscope_source::Group;
use oomscope_source::selection::nearest;

use crate::check::entry;
use crate::cli::ColorChoice;
use crate::output::{self, Replace};

/// Arguments of `rules`.
#[derive(Args)]
pub(crate) struct RulesArguments {
    /// Only the rules of this group.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// How to print the table.
    #[arg(long, value_enum, default_value_t = RulesFormat::Text)]
    pub(crate) format: RulesFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RulesFormat {
    /// For people, in a terminal.
    Text,
    /// For programs: an array with every rule's page.
    Json,
    /// Tables for documentation.
    Markdown,
}

pub(crate) fn run(arguments: &RulesArguments, color: ColorChoice) -> Result<ExitCode> {
    let rules: Vec<RuleEntry> = match &arguments.group {
        None => oomscope_source::rules().map(entry).collect(),
        Some(name) => group(name)?.rules().iter().map(entry).collect(),
    };
    let style = output::style(color, false, Detail::Full, Charset::Unicode);
    output::deliver(None, Replace::Refuse, |out| match arguments.format {
        RulesFormat::Text => render::render_rules_text(&rules, &style, out),
        RulesFormat::Json => render::render_rules_json(&rules, out),
        RulesFormat::Markdown => render::render_rules_markdown(&rules, out),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The group of a name.
fn group(name: &str) -> Result<Group> {
    let names = Group::ALL.into_iter().map(Group::name);
    match Group::ALL.into_iter().find(|group| group.name() == name) {
        Some(group) => Ok(group),
        None => match nearest(name, names.clone()) {
            Some(near) => bail!("no group is called `{name}`; did you mean `{near}`?"),
            None => bail!(
                "no group is called `{name}`; known: {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        },
    }
}
