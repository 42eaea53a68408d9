//! Launches a command with the agent inside, hands signals on, and waits for its end.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::{agent, directory, sampler, tail};

/// Which snapshots a process writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Snapshots {
    None,
    /// At a failure.
    Oom,
    /// At a failure and at the end.
    All,
}

/// Where the command's standard output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Where ours goes.
    Same,
    /// To standard error: standard output is for the result.
    ToStandardError,
}

/// What is launched and how it is recorded.
pub(crate) struct Launch<'a> {
    pub(crate) verb: &'a str,
    pub(crate) command: &'a [String],
    /// `.oomscope`.
    pub(crate) root: &'a Path,
    pub(crate) stacks: &'a str,
    pub(crate) max_entries: u64,
    pub(crate) step_marker: Option<&'a str>,
    pub(crate) max_steps: Option<u64>,
    pub(crate) snapshots: Snapshots,
    pub(crate) max_disk: u64,
    pub(crate) output: Output,
}

/// A command that has ended, and its run directory.
pub(crate) struct Ended {
    pub(crate) run: PathBuf,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Ended {
    /// Whether the command ended by itself with 0.
    pub(crate) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The command's own exit code; a signal that killed it kills us as well.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if let Some(signal) = self.signal {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
        }
        ExitCode::from(self.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

/// Runs the command to its end.
pub(crate) fn launch(launch: &Launch<'_>) -> Result<Ended> {
    let Some((program, arguments)) = launch.command.split_first() else {
        bail!("no command; give it after `--`");
    };
    std::fs::create_dir_all(launch.root).with_context(|| {
        format!("cannot make {}; `--directory` names another folder", launch.root.display())
    })?;
    let root = launch.root.canonicalize().unwrap_or_else(|_| launch.root.to_owned());
    let agent = agent::unpack(&root)?;
    let (run, mut info) = directory::create(&root, launch.verb, launch.command)?;
    // Before the child is there: no signal may find us without a handler.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PYTHONPATH", python_path(&agent))
        .env("OOMSCOPE_RUN_DIR", &run)
        .env("OOMSCOPE_AGENT_OPTIONS", options(launch));
    if launch.output == Output::ToStandardError {
        command.stdout(Stdio::from(std::io::stderr()));
    }
    let log = tail::begin();
    let spawned = command.spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&run);
            return Err(error).with_context(|| format!("cannot run {program}"));
        }
    };
    let watched = sampler::start(&run);
    let handle = signals.handle();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let forwarder = std::thread::spawn(move || {
        for signal in signals.forever() {
            // A terminal sends these to the whole group: the command has had them.
            let from_terminal = matches!(signal, SIGINT | SIGQUIT)
                && std::io::IsTerminal::is_terminal(&std::io::stdin());
            if let (false, Some(pid), Some(signal)) =
                (from_terminal, pid, Signal::from_named_raw(signal))
            {
                let _ = kill_process(pid, signal);
            }
        }
    });
    let status = child.wait();
    handle.close();
    let _ = forwarder.join();
    drop(watched);
    tail::keep(&run, log);
    let status = status.with_context(|| format!("cannot wait for {program}"))?;
    info.ended = Some(directory::seconds(SystemTime::now()));
    (info.exit_code, info.signal) = (status.code(), status.signal());
    directory::write_info(&info, &run)?;
    Ok(Ended { run, code: status.code(), signal: status.signal() })
}

/// Ours before what is there.
fn python_path(agent: &Path) -> OsString {
    let mut path = agent.as_os_str().to_owned();
    if let Some(given) = std::env::var_os("PYTHONPATH").filter(|given| !given.is_empty()) {
        path.push(":");
        path.push(given);
    }
    path
}

fn options(launch: &Launch<'_>) -> String {
    let snapshots = match launch.snapshots {
        Snapshots::None => "none",
        Snapshots::Oom => "oom",
        Snapshots::All => "all",
    };
    json!({
        "stacks": launch.stacks,
        // Stacks of frees are two fifths of the cost, and nothing in a diagnosis rests on them.
        "context": "alloc",
        "max_entries": launch.max_entries,
        "step_marker": launch.step_marker,
        "max_steps": launch.max_steps,
        "snapshots": snapshots,
        "max_disk": launch.max_disk,
    })
    .to_string()
}
