//! The arguments of `check`, as data.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use oomscope_model::Severity;

/// Arguments of `check`.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // flags are bools on the command line, enums behind it
pub(crate) struct CheckArguments {
    /// Files, notebooks and directories; `-` for standard input; without it the current directory.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Apply the safe fixes.
    #[arg(long, help_heading = "Fixing")]
    pub(crate) fix: bool,
    /// With `--fix` or `--diff`: apply those as well that may change what a later reader sees.
    #[arg(long, help_heading = "Fixing")]
    pub(crate) unsafe_fixes: bool,
    /// Print what `--fix` would change, and change nothing.
    #[arg(long, help_heading = "Fixing")]
    pub(crate) diff: bool,
    /// Write `# oomscope: allow[...]` on every finding that is shown, to adopt the tool.
    #[arg(long, conflicts_with_all = ["fix", "diff", "watch"], help_heading = "Fixing")]
    pub(crate) add_allow: bool,
    /// Check these rules only: ids, starts of ids (`OOM1`), names, groups, `ALL`.
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    pub(crate) select: Vec<String>,
    /// Check these rules as well.
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    pub(crate) extend_select: Vec<String>,
    /// Do not check these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',', help_heading = "Rules")]
    pub(crate) ignore: Vec<String>,
    /// Show findings of at least this severity [default: note for json and sarif, else warning].
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) severity: Option<Level>,
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text, help_heading = "Output")]
    pub(crate) format: CheckFormat,
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE if it exists.
    #[arg(long, requires = "output", help_heading = "Output")]
    pub(crate) force: bool,
    /// Count the findings of each rule.
    #[arg(long, help_heading = "Output")]
    pub(crate) statistics: bool,
    /// Print findings only: no summary, no warnings.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Say what is read, from where settings come, and whether the cache helped.
    #[arg(short, long, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// Use no characters outside ASCII.
    #[arg(long, help_heading = "Output")]
    pub(crate) ascii: bool,
    /// Exit with 1 on findings of at least this severity [default: warning].
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) fail_on: Option<Level>,
    /// Exit with 0 even when something is found.
    #[arg(long, help_heading = "Output")]
    pub(crate) exit_zero: bool,
    /// Check again whenever a file changes, until Ctrl-C.
    #[arg(short, long, conflicts_with_all = ["fix", "diff", "output"], help_heading = "Output")]
    pub(crate) watch: bool,
    /// Leave out these paths (globs) instead of the usual ones (`.git`, `.venv`, `build` ...).
    #[arg(long, value_name = "GLOB", value_delimiter = ',', help_heading = "Files")]
    pub(crate) exclude: Vec<String>,
    /// Leave out these paths as well.
    #[arg(long, value_name = "GLOB", value_delimiter = ',', help_heading = "Files")]
    pub(crate) extend_exclude: Vec<String>,
    /// Read what `.gitignore` and the like name, too.
    #[arg(long, help_heading = "Files")]
    pub(crate) no_respect_gitignore: bool,
    /// The name of what comes from standard input.
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) stdin_filename: Option<PathBuf>,
    /// Take the settings of this file, for all files.
    #[arg(long, value_name = "FILE", conflicts_with = "isolated", help_heading = "Settings")]
    pub(crate) config: Option<PathBuf>,
    /// Read no settings from files.
    #[arg(long, help_heading = "Settings")]
    pub(crate) isolated: bool,
    /// Print the settings of the first PATH and stop.
    #[arg(long, help_heading = "Settings")]
    pub(crate) show_settings: bool,
    /// Where to keep the cache [default: `.oomscope_cache` beside the settings; also
    /// `OOMSCOPE_CACHE_DIR`].
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Neither read nor write the cache.
    #[arg(long, help_heading = "Settings")]
    pub(crate) no_cache: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people: the line, the path that leads there, the fix.
    Text,
    /// One line a finding.
    Concise,
    /// For programs; schema in `schema/check.schema.json`.
    Json,
    /// For code hosts and editors: SARIF 2.1.0.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
    /// A GitLab code quality report.
    Gitlab,
    /// JUnit XML.
    Junit,
    /// A table for a pull request.
    Markdown,
}

/// A severity on the command line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Holds activations or tensors that grow.
    Error,
    /// Bounded or slow growth.
    Warning,
    /// Advice.
    Note,
}

impl Level {
    pub(crate) fn severity(self) -> Severity {
        match self {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => Severity::Note,
        }
    }
}
