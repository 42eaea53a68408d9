//! Run directories: made, found, described by their `run.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use oomscope_diagnose::record::{self, RunInfo};

use crate::output::{self, Replace};

/// Reads a run directory's `run.json`.
pub(crate) fn read_info(run: &Path) -> Result<RunInfo> {
    let path = run.join("run.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Writes it, atomically.
pub(super) fn write_info(info: &RunInfo, run: &Path) -> Result<()> {
    output::deliver(Some(&run.join("run.json")), Replace::Allow, |out| {
        serde_json::to_writer_pretty(&mut *out, info)?;
        writeln!(out)
    })
}

/// Makes a new run directory below `root` and describes it.
pub(super) fn create(root: &Path, verb: &str, command: &[String]) -> Result<(PathBuf, RunInfo)> {
    let now = SystemTime::now();
    let stamp: String = humantime::format_rfc3339_seconds(now)
        .to_string()
        .chars()
        .filter_map(|c| match c {
            'T' => Some('-'),
            c if c.is_ascii_digit() => Some(c),
            _ => None,
        })
        .collect();
    let runs = root.join("runs");
    fs::create_dir_all(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
    ignore_in_git(root);
    let mut salt = seconds(now).fract().to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ u64::from(std::process::id());
    let (path, id) = loop {
        let id = format!("{stamp}-{:04x}", (salt >> 40) & 0xffff);
        let path = runs.join(&id);
        match fs::create_dir(&path) {
            Ok(()) => break (path, id),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                salt = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        }
    };
    let path = path.canonicalize().unwrap_or(path);
    let cwd = std::env::current_dir().unwrap_or_default();
    let info = RunInfo {
        schema_version: record::SCHEMA_VERSION,
        id,
        verb: verb.to_owned(),
        command: command.to_vec(),
        cwd: cwd.display().to_string(),
        started: seconds(now),
        ended: None,
        exit_code: None,
        signal: None,
        git_revision: git_revision(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    write_info(&info, &path)?;
    Ok((path, info))
}

/// Seconds since the epoch.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |duration| duration.as_secs_f64())
}

/// Records belong to nobody's commit.
fn ignore_in_git(root: &Path) {
    let path = root.join(".gitignore");
    if !path.exists() {
        let _ = fs::write(path, "*\n");
    }
}

fn git_revision() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Whether a folder is a run directory.
pub(crate) fn is_run(path: &Path) -> bool {
    path.join("run.json").is_file()
}

/// The run directories below `root`, oldest first, with their descriptions.
pub(super) fn all(root: &Path) -> Result<Vec<(PathBuf, Result<RunInfo>)>> {
    let runs = root.join("runs");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", runs.display()));
        }
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_run(path)).collect();
    found.sort();
    let mut runs: Vec<_> = found
        .into_iter()
        .map(|path| {
            let info = read_info(&path);
            (path, info)
        })
        .collect();
    // The names tell seconds only; a run that is damaged stays where its name puts it.
    let started = |run: &(PathBuf, Result<RunInfo>)| {
        let second =
            run.0.file_name().map(|name| name.to_string_lossy().chars().take(15).collect());
        let second: String = second.unwrap_or_default();
        (second, run.1.as_ref().map_or(0.0, |info| info.started))
    };
    runs.sort_by(|a, b| {
        let (a, b) = (started(a), started(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    Ok(runs)
}

/// The run that a path, an ID, the start of one, or `last` names.
pub(crate) fn find(root: &Path, name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if is_run(path) {
        return Ok(path.to_owned());
    }
    let runs = all(root)?;
    if name == "last" {
        let last = runs.into_iter().next_back();
        return last.map(|(path, _)| path).with_context(|| no_runs(root));
    }
    let named =
        |path: &Path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    let mut found = runs.into_iter().map(|(path, _)| path).filter(|path| named(path));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => bail!("several runs start with `{name}`; give more of the ID"),
        (None, _) => bail!("no run `{name}`; `oomscope runs` lists them"),
    }
}

/// The run that an input of `diagnose` names, if it names one: a run directory, and where no path
/// of that name is there `last` or the start of an ID.
pub(crate) fn named(root: &Path, input: &str) -> Option<PathBuf> {
    let path = Path::new(input);
    if path.exists() {
        return is_run(path).then(|| path.to_owned());
    }
    let is_date = input.len() >= 8 && input.bytes().take(8).all(|byte| byte.is_ascii_digit());
    if input == "last" || is_date { find(root, input).ok() } else { None }
}

pub(super) fn no_runs(root: &Path) -> String {
    format!("no recorded run below {}; `oomscope run -- COMMAND` makes one", root.display())
}
