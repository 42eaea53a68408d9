//! The settings of a file: those of the nearest configuration, and what the command line says.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use globset::{Glob, GlobSet, GlobSetBuilder};
use oomscope_model::Severity;
use oomscope_source::Rule;
use oomscope_source::selection::{Choice, Selection, Selector};

use super::arguments::CheckArguments;
use super::config::{self, FileConfig};

/// Never looked into below a directory that is checked.
const USUAL_EXCLUDES: [&str; 28] = [
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".oomscope_cache",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
];

/// The settings of some files.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The file that they come from.
    pub(crate) origin: Option<PathBuf>,
    pub(crate) selection: Selection,
    pub(crate) fail_on: Severity,
    pub(crate) respect_gitignore: bool,
    exclude_globs: Vec<String>,
    exclude: GlobSet,
    per_file_ignores: Vec<(GlobSet, Vec<Selector>)>,
    severity: Vec<(Selector, Severity)>,
}

impl Settings {
    /// Whether a path below a checked directory is left out.
    pub(crate) fn excludes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        self.exclude.is_match(name) || self.exclude.is_match(absolute(path))
    }

    /// The rules that are ignored in one file.
    pub(crate) fn ignored_in(&self, path: &Path) -> Vec<&Selector> {
        if self.per_file_ignores.is_empty() {
            return Vec::new();
        }
        let (name, path) = (path.file_name().unwrap_or_default().to_owned(), absolute(path));
        self.per_file_ignores
            .iter()
            .filter(|(globs, _)| globs.is_match(&name) || globs.is_match(&path))
            .flat_map(|(_, rules)| rules)
            .collect()
    }

    /// The severity of a rule's findings, where the settings say.
    pub(crate) fn severity_of(&self, id: &str) -> Option<Severity> {
        self.severity.iter().rev().find(|(rule, _)| rule.names_id(id)).map(|(_, level)| *level)
    }

    /// Whether a rule is on in a file with these ignored rules.
    pub(crate) fn is_on(&self, rule: &Rule, ignored: &[&Selector]) -> bool {
        self.selection.is_on(rule.id) && !ignored.iter().any(|one| one.names_id(rule.id))
    }
}

/// The settings where nobody has any.
pub(super) fn defaults() -> Result<Arc<Settings>> {
    let command_line = CommandLine {
        choice: Choice { select: None, extend_select: Vec::new(), ignore: Vec::new() },
        exclude: None,
        extend_exclude: Vec::new(),
        fail_on: None,
        respect_gitignore: None,
    };
    let resolver = Resolver { command_line, found: HashMap::new(), fixed: None };
    Ok(Arc::new(resolver.settings(None)?))
}

/// Finds the settings of files; each directory is looked at once.
pub(crate) struct Resolver {
    command_line: CommandLine,
    found: HashMap<PathBuf, Arc<Settings>>,
    fixed: Option<Arc<Settings>>,
}

/// What the command line says.
struct CommandLine {
    choice: Choice,
    exclude: Option<Vec<String>>,
    extend_exclude: Vec<String>,
    fail_on: Option<Severity>,
    respect_gitignore: Option<bool>,
}

impl Resolver {
    /// Reads what the command line says, and the file that it names.
    pub(crate) fn of(arguments: &CheckArguments) -> Result<Resolver> {
        let command_line = CommandLine {
            choice: Choice {
                select: match arguments.select.as_slice() {
                    [] => None,
                    names => Some(selectors("--select", names)?),
                },
                extend_select: selectors("--extend-select", &arguments.extend_select)?,
                ignore: selectors("--ignore", &arguments.ignore)?,
            },
            exclude: (!arguments.exclude.is_empty()).then(|| arguments.exclude.clone()),
            extend_exclude: arguments.extend_exclude.clone(),
            fail_on: arguments.fail_on.map(super::arguments::Level::severity),
            respect_gitignore: arguments.no_respect_gitignore.then_some(false),
        };
        let mut resolver = Resolver { command_line, found: HashMap::new(), fixed: None };
        if let Some(path) = &arguments.config {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let config = config::read(path, &text)?
                .ok_or_else(|| anyhow!("{} has no [tool.oomscope]", path.display()))?;
            resolver.fixed = Some(Arc::new(resolver.settings(Some((path, config)))?));
        } else if arguments.isolated {
            resolver.fixed = Some(Arc::new(resolver.settings(None)?));
        }
        // Wrong globs of the command line are told before anything is read.
        resolver.settings(None)?;
        Ok(resolver)
    }

    /// The settings of the files in a directory.
    pub(crate) fn of_directory(&mut self, directory: &Path) -> Result<Arc<Settings>> {
        if let Some(settings) = &self.fixed {
            return Ok(settings.clone());
        }
        let directory = absolute(directory);
        if let Some(settings) = self.found.get(&directory) {
            return Ok(settings.clone());
        }
        let settings = match config_in(&directory)? {
            Some((path, config)) => Arc::new(self.settings(Some((&path, config)))?),
            None => match directory.parent() {
                Some(parent) => self.of_directory(parent)?,
                None => Arc::new(self.settings(None)?),
            },
        };
        self.found.insert(directory, settings.clone());
        Ok(settings)
    }

    fn settings(&self, file: Option<(&Path, FileConfig)>) -> Result<Settings> {
        let (origin, config) = file.map(|(path, config)| (path.to_owned(), config)).unzip();
        let config: FileConfig = config.unwrap_or_default();
        let said = &self.command_line;
        let here = absolute(Path::new("."));
        let root = match origin.as_deref().map(absolute) {
            Some(path) => path.parent().map_or_else(|| here.clone(), Path::to_owned),
            None => here.clone(),
        };
        let usual = || USUAL_EXCLUDES.map(str::to_owned).to_vec();
        let mut globs: Vec<(&Path, String)> = Vec::new();
        match (&said.exclude, config.exclude) {
            (Some(own), _) => globs.extend(own.iter().map(|glob| (here.as_path(), glob.clone()))),
            (None, own) => {
                globs.extend(
                    own.unwrap_or_else(usual).into_iter().map(|glob| (root.as_path(), glob)),
                );
            }
        }
        globs.extend(config.extend_exclude.into_iter().map(|glob| (root.as_path(), glob)));
        globs.extend(said.extend_exclude.iter().map(|glob| (here.as_path(), glob.clone())));
        let mut per_file_ignores = Vec::new();
        for (glob, rules) in config.per_file_ignores {
            per_file_ignores.push((glob_set(&[(root.as_path(), glob)])?, rules));
        }
        Ok(Settings {
            selection: Selection::of(&[config.choice, said.choice.clone()]),
            fail_on: said.fail_on.or(config.fail_on).unwrap_or(Severity::Warning),
            respect_gitignore: said.respect_gitignore.or(config.respect_gitignore).unwrap_or(true),
            exclude: glob_set(&globs)?,
            exclude_globs: globs.iter().map(|(_, glob)| glob.clone()).collect(),
            per_file_ignores,
            severity: config.severity,
            origin,
        })
    }
}

/// The configuration in a directory: `oomscope.toml`, else a `pyproject.toml` that speaks of us.
fn config_in(directory: &Path) -> Result<Option<(PathBuf, FileConfig)>> {
    for name in ["oomscope.toml", "pyproject.toml"] {
        let path = directory.join(name);
        if !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(config) = config::read(&path, &text)? {
            return Ok(Some((path, config)));
        }
    }
    Ok(None)
}

fn selectors(option: &str, names: &[String]) -> Result<Vec<Selector>> {
    names
        .iter()
        .filter(|name| !name.trim().is_empty())
        .map(|name| {
            Selector::parse(name).map_err(|unknown| {
                let hint = unknown.hint().unwrap_or_default();
                anyhow!("{option}: {unknown}; {hint}")
            })
        })
        .collect()
}

/// Globs that match a name, or a whole path when they are put below their root.
fn glob_set(globs: &[(&Path, String)]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for (root, glob) in globs {
        let pattern = glob.trim_end_matches('/');
        set.add(Glob::new(pattern).with_context(|| format!("`{glob}` is not a glob"))?);
        let below = format!("{}/{pattern}", globset::escape(&root.display().to_string()));
        set.add(Glob::new(&below).with_context(|| format!("`{glob}` is not a glob"))?);
    }
    Ok(set.build()?)
}

/// A path from the root, with `.` and `..` gone where that needs no look at the disk.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The settings in words, for `--show-settings`.
pub(crate) fn describe(settings: &Settings) -> String {
    let mut text = String::new();
    let origin = match &settings.origin {
        Some(path) => path.display().to_string(),
        None => "no file".to_owned(),
    };
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let quoted = |items: &[String]| list(items.iter().map(|item| format!("{item:?}")).collect());
    let rules = settings.selection.rules().map(|rule| format!("\"{}\"", rule.id)).collect();
    let _ = writeln!(text, "# from {origin}");
    let _ = writeln!(text, "[check]");
    let _ = writeln!(text, "select = {}", list(rules));
    let _ = writeln!(text, "exclude = {}", quoted(&settings.exclude_globs));
    let _ = writeln!(text, "fail-on = \"{}\"", word(settings.fail_on));
    let _ = writeln!(text, "respect-gitignore = {}", settings.respect_gitignore);
    if !settings.severity.is_empty() {
        let _ = writeln!(text, "\n[check.severity]");
        for (selector, level) in &settings.severity {
            for rule in selector.rules() {
                let _ = writeln!(text, "{} = \"{}\"", rule.name, word(*level));
            }
        }
    }
    text
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
