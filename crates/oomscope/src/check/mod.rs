//! `oomscope check [PATH...]`: the source analyser.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use ignore::WalkBuilder;
use oomscope_source::InputFile;

use crate::cli::ColorChoice;
use crate::output::{self, Replace};

/// Arguments of `check`.
#[derive(Args)]
pub(crate) struct CheckArguments {
    /// Files, notebooks and directories; `-` for standard input.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = CheckFormat::Concise)]
    pub(crate) format: CheckFormat,
    /// Neither read nor write the cache.
    #[arg(long)]
    pub(crate) no_cache: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// One line a finding.
    Concise,
    /// For programs.
    Json,
}

pub(crate) fn run(arguments: &CheckArguments, _color: ColorChoice) -> Result<ExitCode> {
    let mut files = Vec::new();
    let here = [PathBuf::from(".")];
    let paths = if arguments.paths.is_empty() { &here[..] } else { &arguments.paths };
    for path in paths {
        for entry in WalkBuilder::new(path).require_git(false).build().flatten() {
            let path = entry.path();
            let is_source =
                path.extension().is_some_and(|ending| ending == "py" || ending == "ipynb");
            if is_source && let Ok(bytes) = std::fs::read(path) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                files.push(InputFile { path: path.display().to_string(), text });
            }
        }
    }
    let (evidence, _problems) = oomscope_source::analyse_with_problems(files);
    let found = evidence.files.iter().any(|file| !file.findings.is_empty());
    output::deliver(None, Replace::Refuse, |out| match arguments.format {
        CheckFormat::Concise => oomscope_report::check::render_concise(&evidence.files, out),
        CheckFormat::Json => oomscope_report::check::render_json(&evidence.files, out),
    })?;
    Ok(ExitCode::from(u8::from(found)))
}
