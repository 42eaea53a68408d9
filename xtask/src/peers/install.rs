//! Installs other tools, at pinned versions, into a folder of their own. Their code is run, never
//! copied into this repository. What is already there is not installed again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where the tools are kept.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Opens `path`, made where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Folder> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path.canonicalize()?))
    }

    /// The virtual environment's Python.
    pub(crate) fn python(&self) -> String {
        self.program("python")
    }

    /// A program of the virtual environment.
    pub(crate) fn program(&self, name: &str) -> String {
        self.path("venv/bin").join(name).display().to_string()
    }

    /// A path inside the folder.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside)
    }

    /// Makes the virtual environment with `OOMSCOPE_PYTHON`, else `python3`.
    pub(crate) fn make_environment(&self) -> Result<()> {
        if !Path::new(&self.program("pip")).exists() {
            let python = std::env::var("OOMSCOPE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
            execute(Command::new(python).args(["-m", "venv"]).arg(self.path("venv")))?;
        }
        Ok(())
    }

    /// Installs packages with pip.
    pub(crate) fn install_packages(&self, name: &str, packages: &[&str]) -> Result<()> {
        let version = packages.join(" ");
        if self.has(name, &version) {
            return Ok(());
        }
        self.make_environment()?;
        execute(self.pip("install").args(packages))?;
        self.note(name, &version)
    }

    /// Keeps one file of a package's wheel, which is downloaded without its dependencies and
    /// deleted again. `platform` names the wheel: any will do for a file in Python.
    pub(crate) fn take_from_wheel(&self, package: &str, platform: &str, file: &str) -> Result<()> {
        let name = file.rsplit('/').next().unwrap_or(file);
        if self.has(name, package) {
            return Ok(());
        }
        self.make_environment()?;
        let wheels = self.path("wheels");
        let mut pip = self.pip("download");
        pip.args([package, "--no-deps", "--only-binary=:all:", "--platform", platform])
            .args(["--python-version", "3.12", "--dest"])
            .arg(&wheels);
        execute(&mut pip)?;
        let take = "import glob, sys, zipfile; \
            wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]); \
            open(sys.argv[3], 'wb').write(wheel.read(sys.argv[2]))";
        let mut python = Command::new(self.python());
        execute(python.args(["-c", take]).arg(&wheels).arg(file).arg(self.path(name)))?;
        std::fs::remove_dir_all(wheels)?;
        self.note(name, package)
    }

    /// Checks a commit of a repository out as `name`.
    pub(crate) fn check_out(&self, repository: &str, commit: &str, name: &str) -> Result<()> {
        if self.has(name, commit) {
            return Ok(());
        }
        let to = self.path(name);
        if to.exists() {
            std::fs::remove_dir_all(&to)?;
        }
        execute(git().args(["clone", "--quiet", repository]).arg(&to))?;
        execute(git().arg("-C").arg(&to).args(["checkout", "--quiet", commit]))?;
        self.note(name, commit)
    }

    /// Whether `name` was installed at this version, to the end.
    fn has(&self, name: &str, version: &str) -> bool {
        std::fs::read_to_string(self.stamp(name)).is_ok_and(|text| text == version)
    }

    fn note(&self, name: &str, version: &str) -> Result<()> {
        Ok(std::fs::write(self.stamp(name), version)?)
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.version"))
    }

    /// Pip that gives up soon where there is no network.
    fn pip(&self, verb: &str) -> Command {
        let mut pip = Command::new(self.program("pip"));
        pip.args([verb, "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]);
        pip
    }
}

/// Git that never asks for a password: a repository that cannot be reached is an error.
fn git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_TERMINAL_PROMPT", "0");
    git
}

fn execute(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let said = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        bail!("{program}: {said}");
    }
    Ok(())
}
