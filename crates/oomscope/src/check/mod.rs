//! `oomscope check [PATH...]`: the source analyser around which this folder is the tool: paths,
//! settings, cache, fixes, output. What a defect is, `oomscope_source` says.

mod adopt;
mod analyse;
pub(crate) mod arguments;
mod cache;
mod config;
mod decode;
mod diff;
mod fixes;
mod paths;
pub(crate) mod rewriting;
mod settings;
mod source;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oomscope_model::{FixSafety, Severity};
use oomscope_report::check::{self as render, CheckReport, Shown, Statistics, harmless};
use oomscope_report::{Charset, Detail, TextStyle};

use crate::COULD_NOT_READ;
use crate::cli::ColorChoice;
use crate::output::{self, Replace};

pub(crate) use analyse::entry;
pub(crate) use arguments::CheckArguments;
use arguments::CheckFormat;
use cache::Cache;
use settings::{Resolver, describe};
use source::Source;

/// Runs the verb.
pub(crate) fn run(arguments: &CheckArguments, color: ColorChoice) -> Result<ExitCode> {
    let here = [PathBuf::from(".")];
    let paths = if arguments.paths.is_empty() { &here[..] } else { &arguments.paths };
    if arguments.show_settings {
        return show_settings(arguments, paths);
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    output::refuse_inputs(arguments.output.as_deref(), &names)?;
    if let Some(file) = &arguments.output {
        let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
        output::may_write(file, replace)?;
    }
    if !arguments.watch {
        return once(arguments, paths, color);
    }
    if paths.iter().any(|path| path.as_os_str() == "-") {
        bail!("standard input cannot be watched");
    }
    watch::watch(paths, || {
        if io::stdout().is_terminal() {
            print_to_terminal("\x1b[2J\x1b[3J\x1b[H");
        }
        // A configuration that is wrong for a moment does not end the watch.
        if let Err(error) = once(arguments, paths, color) {
            output::print_error(&error);
        }
        output::say("watching for changes; Ctrl-C ends it");
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print_to_terminal(sequence: &str) {
    let _ = io::stdout().write_all(sequence.as_bytes());
    let _ = io::stdout().flush();
}

fn show_settings(arguments: &CheckArguments, paths: &[PathBuf]) -> Result<ExitCode> {
    let mut resolver = Resolver::of(arguments)?;
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let folder = if first.is_dir() { first } else { first.parent().unwrap_or(first) };
    let settings = resolver.of_directory(folder)?;
    let text = harmless(&describe(&settings));
    output::deliver(None, Replace::Refuse, |out| writeln!(out, "{text}"))?;
    Ok(ExitCode::SUCCESS)
}

/// One check.
fn once(arguments: &CheckArguments, paths: &[PathBuf], color: ColorChoice) -> Result<ExitCode> {
    let started = Instant::now();
    let resolver = Resolver::of(arguments)?;
    let (found, mut resolver) = paths::find(paths, arguments.stdin_filename.as_deref(), resolver)?;
    let read = source::read(found.files);
    let mut problems = found.problems;
    problems.extend(read.problems);
    let mut sources = read.sources;
    let cache = cache_of(arguments, &sources, &mut resolver)?;
    let shown = shown(arguments);

    let most = if arguments.unsafe_fixes { FixSafety::Unsafe } else { FixSafety::Safe };
    let (mut report, before) = if arguments.fix || arguments.diff {
        let fixed = fixes::fix_all(&mut sources, most, cache.as_ref());
        (fixed.report, fixed.before)
    } else {
        let analysis = analyse::analyse(&mut sources, cache.as_ref());
        (analyse::report(&sources, analysis), Vec::new())
    };
    problems.append(&mut report.problems);
    report.problems = problems;
    if arguments.diff {
        return print_diff(arguments, &sources, &before, &report);
    }
    if arguments.fix {
        write_fixes(arguments, &sources, &before, &mut report)?;
    }
    let code = exit_code(arguments, &sources, &report);
    if arguments.add_allow {
        let (findings, files) = adopt::adopt(&sources, &mut report, shown);
        tell_problems(arguments, &report);
        let (findings, files) = (number(findings, "finding"), number(files, "file"));
        output::say(&format!("allowed {findings} in {files}"));
        return Ok(ExitCode::SUCCESS);
    }
    tell_problems(arguments, &report);
    deliver(arguments, color, shown, &report)?;
    if arguments.verbose {
        let (files, time) = (sources.len(), started.elapsed());
        output::say(&format!("{files} files in {:.2} s", time.as_secs_f64()));
        for origin in origins(&sources) {
            output::say(&format!("settings from {origin}"));
        }
    }
    Ok(code)
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn origins(sources: &[Source]) -> Vec<String> {
    let mut all: Vec<String> = sources
        .iter()
        .map(|source| match &source.settings.origin {
            Some(path) => path.display().to_string(),
            None => "no file".to_owned(),
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The cache of these arguments; none for standard input, whose text nobody checks twice.
fn cache_of(
    arguments: &CheckArguments,
    sources: &[Source],
    resolver: &mut Resolver,
) -> Result<Option<Cache>> {
    if arguments.no_cache || sources.iter().any(|source| source.path.is_none()) {
        return Ok(None);
    }
    let named = arguments.cache_dir.clone().or_else(|| {
        std::env::var_os("OOMSCOPE_CACHE_DIR").filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    if let Some(folder) = named {
        return Ok(Some(Cache::in_folder(folder)));
    }
    let settings = resolver.of_directory(Path::new("."))?;
    let beside = settings.origin.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    Ok(Some(Cache::in_folder(beside.join(".oomscope_cache"))))
}

fn shown(arguments: &CheckArguments) -> Shown {
    let usual = match arguments.format {
        CheckFormat::Json | CheckFormat::Sarif => Severity::Note,
        CheckFormat::Text
        | CheckFormat::Concise
        | CheckFormat::Github
        | CheckFormat::Gitlab
        | CheckFormat::Junit
        | CheckFormat::Markdown => Severity::Warning,
    };
    let least = arguments.severity.map_or(usual, arguments::Level::severity);
    Shown { least }
}

fn write_fixes(
    arguments: &CheckArguments,
    sources: &[Source],
    before: &[(usize, Source)],
    report: &mut CheckReport,
) -> Result<()> {
    for (index, _) in before {
        let Some(source) = sources.get(*index) else { continue };
        if let Err(error) = fixes::write(source) {
            let what = format!("{error:#}");
            report.problems.push(source::problem(&source.name, None, what));
        }
    }
    for source in sources.iter().filter(|source| source.path.is_none()) {
        let text = source.json.as_ref().unwrap_or(&source.code);
        let bytes = decode::encode(text, source.encoding).unwrap_or_else(|| text.clone().into());
        let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
        output::deliver(arguments.output.as_deref(), replace, |out| out.write_all(&bytes))?;
    }
    Ok(())
}

fn print_diff(
    arguments: &CheckArguments,
    sources: &[Source],
    before: &[(usize, Source)],
    report: &CheckReport,
) -> Result<ExitCode> {
    tell_problems(arguments, report);
    let diffs =
        before.iter().filter_map(|(index, old)| Some(diff::diff(old, sources.get(*index)?)));
    let mut text: String = diffs.collect();
    if arguments.output.is_none() && io::stdout().is_terminal() && !text.is_empty() {
        text = harmless(&text) + "\n";
    }
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    let bytes = text.as_bytes();
    output::deliver(arguments.output.as_deref(), replace, |out| out.write_all(bytes))?;
    if sources.is_empty() && !report.problems.is_empty() {
        return Ok(ExitCode::from(COULD_NOT_READ));
    }
    Ok(ExitCode::from(u8::from(!text.is_empty() && !arguments.exit_zero)))
}

/// What could not be read is told on standard error, whatever the format.
fn tell_problems(arguments: &CheckArguments, report: &CheckReport) {
    if arguments.quiet && report.files_checked > 0 {
        return;
    }
    let word = if report.files_checked == 0 { "error" } else { "warning" };
    for problem in &report.problems {
        output::say(&harmless(&format!("{word}: {problem}").replace(['\n', '\r'], " ")));
        if let Some(hint) = &problem.hint {
            output::say(&harmless(&format!("  hint: {hint}")));
        }
    }
}

fn exit_code(arguments: &CheckArguments, sources: &[Source], report: &CheckReport) -> ExitCode {
    if sources.is_empty() && !report.problems.is_empty() {
        return ExitCode::from(COULD_NOT_READ);
    }
    let fails = |name: &str, severity: Severity| {
        let source = sources.iter().find(|source| source.name == name);
        source.is_some_and(|source| severity >= source.settings.fail_on)
    };
    let is_found = report.files.iter().any(|file| {
        let worst = file.findings.iter().map(|finding| finding.severity).max();
        worst.is_some_and(|worst| fails(&file.path, worst))
    });
    ExitCode::from(u8::from(is_found && !arguments.exit_zero))
}

fn deliver(
    arguments: &CheckArguments,
    color: ColorChoice,
    shown: Shown,
    report: &CheckReport,
) -> Result<()> {
    let charset = if arguments.ascii { Charset::Ascii } else { Charset::Unicode };
    let style = output::style(color, arguments.output.is_some(), Detail::Full, charset);
    let reads_stdin = arguments.paths.iter().any(|path| path.as_os_str() == "-");
    if arguments.fix && reads_stdin {
        // Standard output is the fixed text.
        let mut text = Vec::new();
        write(arguments, shown, &style, report, &mut text)?;
        let _ = anstream::stderr().write_all(&text);
        return Ok(());
    }
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    output::deliver(arguments.output.as_deref(), replace, |out| {
        write(arguments, shown, &style, report, out)
    })
}

fn write(
    arguments: &CheckArguments,
    shown: Shown,
    style: &TextStyle,
    report: &CheckReport,
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_for_people = matches!(arguments.format, CheckFormat::Text | CheckFormat::Concise);
    if is_for_people && arguments.statistics {
        render::render_statistics(report, shown, style, out)?;
    } else {
        match arguments.format {
            CheckFormat::Text => render::render_text(report, shown, style, out)?,
            CheckFormat::Concise => render::render_concise(report, shown, style, out)?,
            CheckFormat::Json => {
                let with =
                    if arguments.statistics { Statistics::Included } else { Statistics::Absent };
                render::render_json(report, shown, with, out)?;
            }
            CheckFormat::Sarif => render::render_sarif(report, shown, out)?,
            CheckFormat::Github => render::render_github(report, shown, out)?,
            CheckFormat::Gitlab => render::render_gitlab(report, shown, out)?,
            CheckFormat::Junit => render::render_junit(report, shown, out)?,
            CheckFormat::Markdown => render::render_markdown(report, shown, out)?,
        }
    }
    if is_for_people && !arguments.quiet {
        render::render_summary(report, shown, style, out)?;
    }
    Ok(())
}
