//! `oomscope attach`: a running recorded process writes a snapshot now, and it is diagnosed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use oomscope_diagnose::record::ProcessRecord;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::directory::all;
use super::reading::{Process, processes};
use super::run::shown;
use crate::output;

#[derive(Args)]
pub(crate) struct AttachArguments {
    /// The process: its number, or that of what started it.
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
    let record = read_records(&folder);
    let pid = record.start.and_then(|start| i32::try_from(start.pid).ok()).and_then(Pid::from_raw);
    if record.end.is_some() || is_gone(pid) {
        bail!("process {} has ended", arguments.pid);
    }
    let before = requested(&folder);
    let request = folder.join("request");
    fs::write(&request, "").with_context(|| format!("cannot write {}", request.display()))?;
    let until = Instant::now() + Duration::from_secs(arguments.timeout);
    loop {
        let is_gone = is_gone(pid);
        let now = requested(&folder);
        if let Some(new) = now.iter().find(|path| !before.contains(path)) {
            println_path(new)?;
            return Ok(ExitCode::SUCCESS);
        }
        if is_gone || Instant::now() > until {
            let _ = fs::remove_file(&request);
            let (pid, seconds) = (arguments.pid, arguments.timeout);
            if is_gone {
                bail!("process {pid} ended before it wrote a snapshot");
            }
            bail!("process {pid} wrote no snapshot within {seconds} seconds; is it stopped?");
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

fn read_records(folder: &Path) -> ProcessRecord {
    let text = fs::read(folder.join("records.jsonl")).unwrap_or_default();
    oomscope_diagnose::record::read("", &String::from_utf8_lossy(&text))
}

fn is_gone(pid: Option<Pid>) -> bool {
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// The folder of a process, or of a child of it, in the newest run that has one.
fn folder_of(root: &Path, pid: u32) -> Result<PathBuf> {
    for (run, _) in all(root)?.into_iter().rev() {
        let processes = processes(&run);
        let start = |process: &Process| process.record.start.clone();
        let is_it = |process: &&Process| start(process).is_some_and(|s| s.pid == u64::from(pid));
        let is_child =
            |process: &&Process| start(process).is_some_and(|s| s.ppid == Some(u64::from(pid)));
        // Of a program that replaced itself the newest folder counts: the last of its name.
        let found = processes.iter().rfind(is_it).or_else(|| processes.iter().find(is_child));
        if let Some(process) = found {
            return Ok(process.folder.clone());
        }
    }
    bail!(
        "no recorded process {pid} below {}; `oomscope runs show` names those that use a device",
        root.display()
    )
}
