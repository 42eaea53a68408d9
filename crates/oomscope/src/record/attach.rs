//! `oomscope attach`: a running recorded process writes a snapshot now, and it is diagnosed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::directory::all;
use super::run::shown;
use crate::output;

#[derive(Args)]
pub(crate) struct AttachArguments {
    /// The process: its number, or that of the command that `oomscope run` started.
    pid: u32,
    /// Where runs are kept.
    #[arg(long, value_name = "DIR", default_value = ".oomscope")]
    directory: PathBuf,
    /// How many seconds to wait for the snapshot.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// How often the folder is looked at.
const PERIOD: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &AttachArguments) -> Result<ExitCode> {
    let folder = folder_of(&arguments.directory, arguments.pid)?;
    let before = requested(&folder);
    let request = folder.join("request");
    fs::write(&request, "").with_context(|| format!("cannot write {}", request.display()))?;
    let until = Instant::now() + Duration::from_secs(arguments.timeout);
    loop {
        let now = requested(&folder);
        if let Some(new) = now.iter().find(|path| !before.contains(path)) {
            println_path(new)?;
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() > until {
            let _ = fs::remove_file(&request);
            bail!(
                "process {} wrote no snapshot within {} seconds; is it still running?",
                arguments.pid,
                arguments.timeout
            );
        }
        std::thread::sleep(PERIOD);
    }
}

fn println_path(path: &Path) -> Result<()> {
    use std::io::Write;
    let path = shown(path);
    writeln!(std::io::stdout(), "{path}")?;
    output::say(&format!("hint: `oomscope diagnose {path}` or `oomscope snapshot live {path}`"));
    Ok(())
}

/// Snapshots that were asked for.
fn requested(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("request-") && name.ends_with(".pickle")
    };
    entries.flatten().map(|entry| entry.path()).filter(is_one).collect()
}

/// The folder of a process, in the newest run that has it.
fn folder_of(root: &Path, pid: u32) -> Result<PathBuf> {
    let suffix = format!("p{pid}");
    for (run, _) in all(root)?.into_iter().rev() {
        let Ok(entries) = fs::read_dir(&run) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == suffix || name.ends_with(&format!("-{suffix}")) {
                return Ok(entry.path());
            }
        }
    }
    bail!(
        "no recorded process {pid} below {}; `oomscope runs show` names those that use a device",
        root.display()
    )
}
