//! `oomscope fix`: applies the patches of a diagnosis, and with a command proves that they help.

mod patches;
mod proof;

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use oomscope_diagnose::diagnose;
use oomscope_model::{Diagnosis, Evidence, Verdict};

use crate::record::{self, RecordArguments};
use crate::{diagnose as diagnosing, output};

use patches::{Chosen, Planned};

#[derive(Args)]
pub(crate) struct FixArguments {
    /// What to diagnose, as for `diagnose`; or a recorded run: its ID or `last`. Without it, with
    /// `--verify`: the run before the fix; else the last recorded run.
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Apply without asking.
    #[arg(short, long)]
    yes: bool,
    /// Show the patches and apply nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Run the command before and after, and keep the change only if memory improved and the
    /// command still succeeds.
    #[arg(long, requires = "command")]
    verify: bool,
    /// With `--verify`: stop each run after so many steps.
    #[arg(long, value_name = "N", requires = "verify")]
    steps: Option<u64>,
    #[command(flatten)]
    record: RecordArguments,
    /// The command to verify with.
    #[arg(last = true, requires = "verify", value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &FixArguments) -> Result<ExitCode> {
    let before = if arguments.verify {
        output::say("oomscope: running the command as it is");
        Some(proof::watched(&arguments.record, arguments.steps, &arguments.command)?)
    } else {
        None
    };
    let evidence = evidence(arguments, before.as_ref())?;
    diagnosing::something_was_read(&evidence)?;
    let diagnosis = diagnose(&evidence);
    let mut out = std::io::stdout();
    let planned = patches::planned(&diagnosis);
    for problem in &planned.problems {
        output::say(&format!("warning: {problem}"));
    }
    if planned.patches.is_empty() {
        writeln!(out, "{}", diagnosis.headline)?;
        for patch in &diagnosis.fixes {
            writeln!(out, "  by hand: {}. {}", patch.title, patch.words)?;
        }
        if diagnosis.verdict == Verdict::Healthy {
            return Ok(ExitCode::SUCCESS);
        }
        output::say("oomscope: no patch can be written for this");
        return Ok(ExitCode::from(1));
    }
    let chosen = choose(arguments, &diagnosis, planned.patches)?;
    if arguments.dry_run || chosen.is_empty() {
        return Ok(ExitCode::from(1));
    }
    let applied = patches::apply(chosen)?;
    let reverse = applied.keep_reversal(&reversal_folder(arguments, before.as_ref()))?;
    output::say(&format!(
        "oomscope: changed {}; `patch -p0 < {}` takes it back",
        applied.names(),
        record::shown(&reverse)
    ));
    let Some(before) = before else {
        print_parts(&diagnosis, None, &mut out)?;
        return Ok(ExitCode::SUCCESS);
    };
    output::say("oomscope: running the command with the fix");
    let after = proof::watched(&arguments.record, arguments.steps, &arguments.command);
    let proof = after.map(|after| proof::Proof::of(&before, &after));
    match proof {
        Ok(proof) if proof.improved() => {
            print_parts(&diagnosis, Some(&proof), &mut out)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(proof) => {
            applied.take_back()?;
            writeln!(out, "not kept: {}", proof.words())?;
            output::say("oomscope: the files are as they were");
            Ok(ExitCode::from(1))
        }
        Err(error) => {
            applied.take_back()?;
            Err(error)
        }
    }
}

fn evidence(arguments: &FixArguments, before: Option<&proof::Watched>) -> Result<Evidence> {
    let root = &arguments.record.directory;
    Ok(match (arguments.inputs.as_slice(), before) {
        ([], Some(before)) => record::evidence(&before.ended.run),
        ([], None) => record::evidence(&record::find(root, "last")?),
        (inputs, _) => diagnosing::evidence_of(root, inputs),
    })
}

/// Beside the run that was diagnosed, else where runs are kept.
fn reversal_folder(
    arguments: &FixArguments,
    before: Option<&proof::Watched>,
) -> std::path::PathBuf {
    let root = &arguments.record.directory;
    let run = match (arguments.inputs.as_slice(), before) {
        (_, Some(before)) => Some(before.ended.run.clone()),
        ([], None) => record::find(root, "last").ok(),
        ([one], None) => record::find(root, one).ok(),
        _ => None,
    };
    run.unwrap_or_else(|| root.clone())
}

/// Shows each patch and asks, unless told not to.
fn choose(
    arguments: &FixArguments,
    diagnosis: &Diagnosis,
    patches: Vec<Planned>,
) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    writeln!(std::io::stdout(), "{}\n", diagnosis.headline)?;
    let asks = !arguments.yes && !arguments.dry_run;
    if asks && !std::io::stdin().is_terminal() {
        bail!("nobody to ask: pass `--yes` to apply, or `--dry-run` to see the patches");
    }
    for (number, patch) in patches.into_iter().enumerate() {
        writeln!(std::io::stdout(), "{}\n{}", patch.title, patch.diff)?;
        // The best patch alone is applied unasked: the others are for what is left after it.
        let is_wanted = if asks { confirmed(&patch.title)? } else { number == 0 };
        if is_wanted && !arguments.dry_run {
            chosen.add(patch);
        }
    }
    Ok(chosen)
}

fn confirmed(title: &str) -> Result<bool> {
    let mut err = std::io::stderr();
    write!(err, "Apply “{title}”? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The four parts, with what was measured.
fn print_parts(
    diagnosis: &Diagnosis,
    proof: Option<&proof::Proof>,
    out: &mut impl Write,
) -> Result<()> {
    let report = &diagnosis.report;
    let verification = proof.map_or_else(|| report.verification.clone(), proof::Proof::words);
    writeln!(out, "Root cause    {}", report.root_cause)?;
    writeln!(out, "Fix           {}", report.fix)?;
    writeln!(out, "Verification  {verification}")?;
    writeln!(out, "Prevention    {}", report.prevention)?;
    Ok(())
}
