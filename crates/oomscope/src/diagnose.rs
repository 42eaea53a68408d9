//! `oomscope diagnose`: from arguments to evidence to a rendered diagnosis.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oomscope_diagnose::{diagnose, log};
use oomscope_model::{Bytes, Evidence, Problem, Verdict};
use oomscope_report::{Charset, Detail};
use oomscope_source::InputFile;

use crate::cli::{ColorChoice, DiagnoseArguments, Format};
use crate::input::{self, Gathered, Input, Kind};
use crate::live;
use crate::output::{self, Replace};
use crate::progress::Progress;
use crate::record;

pub(crate) fn run(arguments: &DiagnoseArguments, color: ColorChoice) -> Result<ExitCode> {
    let mut evidence = match arguments.inputs.as_slice() {
        [] => evidence(search_here()?),
        inputs => evidence_of(Path::new(".oomscope"), inputs),
    };
    if arguments.live {
        match live::devices() {
            Ok(devices) => evidence.live = devices,
            Err(problem) => evidence.problems.push(problem),
        }
    }
    something_was_read(&evidence)?;
    let diagnosis = diagnose(&evidence);
    let detail = if arguments.brief { Detail::Brief } else { Detail::Full };
    let charset = if arguments.ascii { Charset::Ascii } else { Charset::Unicode };
    let style = output::style(color, arguments.output.is_some(), detail, charset);
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    output::deliver(arguments.output.as_deref(), replace, |out| match arguments.format {
        Format::Text => oomscope_report::render_text(&diagnosis, &style, out),
        Format::Json => oomscope_report::render_json(&diagnosis, out),
        Format::Markdown => oomscope_report::render_markdown(&diagnosis, out),
    })?;
    Ok(match diagnosis.verdict {
        Verdict::Healthy => ExitCode::SUCCESS,
        Verdict::Claimed(_) | Verdict::Undecided => ExitCode::from(1),
    })
}

/// Otherwise says why nothing was.
pub(crate) fn something_was_read(evidence: &Evidence) -> Result<()> {
    if !evidence.inputs.is_empty() || !evidence.live.is_empty() {
        return Ok(());
    }
    for problem in &evidence.problems {
        output::say(&format!("error: {problem}"));
        if let Some(hint) = &problem.hint {
            output::say(&format!("hint: {hint}"));
        }
    }
    bail!("nothing could be read")
}

/// What any mix of inputs says. Runs are those below `root`, or any run directory.
pub(crate) fn evidence_of(root: &Path, inputs: &[String]) -> Evidence {
    let mut others = Vec::new();
    let mut runs = Vec::new();
    for input in inputs {
        match record::named(root, input) {
            Some(run) => runs.push(run),
            None => others.push(input.clone()),
        }
    }
    let mut evidence = evidence(input::gather(&others));
    for run in runs {
        add(&mut evidence, record::evidence(&run));
    }
    evidence
}

fn add(evidence: &mut Evidence, more: Evidence) {
    evidence.logs.extend(more.logs);
    evidence.snapshots.extend(more.snapshots);
    for file in more.source.files {
        if evidence.source.files.iter().all(|there| there.path != file.path) {
            evidence.source.files.push(file);
        }
    }
    evidence.problems.extend(more.problems);
    for input in more.inputs {
        if !evidence.inputs.contains(&input) {
            evidence.inputs.push(input);
        }
    }
    evidence.device_at_failure = evidence.device_at_failure.take().or(more.device_at_failure);
}

fn search_here() -> Result<Gathered> {
    let found = input::discover(Path::new("."));
    if found.inputs.is_empty() {
        bail!(
            "nothing to diagnose here: no log with a failure, no snapshot, no Python source; name one, or paste the message as an argument"
        );
    }
    let source = found.inputs.iter().filter(|input| input.kind == Kind::Source).count();
    for input in found.inputs.iter().filter(|input| input.kind != Kind::Source) {
        output::say(&format!("found {} {}", kind_name(input.kind), input.name));
    }
    if source > 0 {
        output::say(&format!(
            "found {source} Python {}",
            if source == 1 { "file" } else { "files" }
        ));
    }
    Ok(found)
}

/// Turns what was read into evidence. Logs come first: the size that they state picks the failure
/// in a snapshot that holds several.
pub(crate) fn evidence(gathered: Gathered) -> Evidence {
    let mut evidence = Evidence { problems: gathered.problems, ..Evidence::default() };
    for input in gathered.inputs.iter().filter(|input| input.kind == Kind::Log) {
        evidence.logs.push(log::read(&input.name, &input.content.text()));
    }
    let failed_request = failed_request(&evidence);
    let mut files = Vec::new();
    for input in &gathered.inputs {
        let read = match input.kind {
            Kind::Log => true,
            Kind::Snapshot => read_snapshot(input, failed_request, &mut evidence),
            Kind::Source => {
                files.push(InputFile {
                    path: input.name.clone(),
                    text: input.content.text().into_owned(),
                });
                true
            }
        };
        if read {
            evidence.inputs.push(format!("{} {}", kind_name(input.kind), input.name));
        }
    }
    let (source, problems) = oomscope_source::analyse_with_problems(files);
    evidence.source = source;
    evidence.problems.extend(problems);
    evidence
}

fn failed_request(evidence: &Evidence) -> Option<Bytes> {
    log::primary_failure(evidence.logs.iter().flat_map(|log| &log.failures))?
        .memory
        .as_ref()?
        .requested
}

fn read_snapshot(input: &Input, failed_request: Option<Bytes>, evidence: &mut Evidence) -> bool {
    let mut progress = Progress::of_reading(&input.name, input.content.len());
    let behind = &mut |done| {
        input.content.release(done);
        progress.at(done);
    };
    match oomscope_snapshot::read_with(&input.content, behind) {
        Ok(snapshot) => {
            evidence.problems.extend(snapshot.problems.iter().map(|problem| Problem {
                input: input.name.clone(),
                at: Some(problem.at.clone()),
                what: problem.what.clone(),
                hint: problem.hint.clone(),
            }));
            let mut devices = oomscope_snapshot::summarise(&input.name, &snapshot, failed_request);
            for device in &mut devices {
                device.replay = oomscope_diagnose::replay::replay_evidence(&snapshot, device);
            }
            evidence.snapshots.extend(devices);
            true
        }
        Err(error) => {
            evidence.problems.push(Problem {
                input: input.name.clone(),
                at: None,
                what: error.to_string(),
                hint: None,
            });
            false
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Log => "log",
        Kind::Snapshot => "snapshot",
        Kind::Source => "source",
    }
}
