//! `oomscope.toml` and `[tool.oomscope]` of `pyproject.toml`: what one file says. Every key is
//! known or an error that names the file, the line and the nearest known key.

use std::fmt;
use std::path::{Path, PathBuf};

use oomscope_model::Severity;
use oomscope_source::selection::{Choice, Selector, nearest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says about checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FileConfig {
    pub(crate) choice: Choice,
    /// Globs, and what is ignored in the files that they match.
    pub(crate) per_file_ignores: Vec<(String, Vec<Selector>)>,
    pub(crate) exclude: Option<Vec<String>>,
    pub(crate) extend_exclude: Vec<String>,
    pub(crate) severity: Vec<(Selector, Severity)>,
    pub(crate) fail_on: Option<Severity>,
    pub(crate) respect_gitignore: Option<bool>,
}

/// What is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) path: PathBuf,
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ": line {line}")?;
        }
        write!(f, ": {}", self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

const KEYS: [&str; 9] = [
    "select",
    "extend-select",
    "ignore",
    "per-file-ignores",
    "exclude",
    "extend-exclude",
    "severity",
    "fail-on",
    "respect-gitignore",
];

/// Where in the text, what is wrong, and what to do.
struct Wrong {
    at: usize,
    what: String,
    hint: Option<String>,
}

type Value<'t> = Spanned<DeValue<'t>>;

/// Reads a configuration; `None` for a `pyproject.toml` that says nothing of us.
pub(crate) fn read(path: &Path, text: &str) -> Result<Option<FileConfig>, ConfigError> {
    let error = |wrong: Wrong| ConfigError {
        path: path.to_owned(),
        line: Some(text.get(..wrong.at).unwrap_or(text).matches('\n').count() + 1),
        what: wrong.what,
        hint: wrong.hint,
    };
    let file = DeTable::parse(text).map_err(|wrong| {
        let at = wrong.span().map_or(0, |span| span.start);
        error(Wrong { at, what: format!("not TOML: {}", wrong.message()), hint: None })
    })?;
    let is_pyproject = path.file_name().is_some_and(|name| name == "pyproject.toml");
    let table = if is_pyproject {
        let tool = file.get_ref().get("tool").and_then(|tool| tool.get_ref().as_table());
        let Some(ours) = tool.and_then(|tool| tool.get("oomscope")) else { return Ok(None) };
        as_table(ours, "tool.oomscope").map_err(error)?
    } else {
        file.get_ref()
    };
    let mut config = FileConfig::default();
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "check" => {
                for (key, value) in as_table(value, "check").map_err(error)? {
                    let name = key.get_ref().as_ref();
                    set(&mut config, name, key.span().start, value).map_err(error)?;
                }
            }
            // The categories of `oomscope snapshot`.
            "categories" => {}
            other => {
                // A key that belongs one level below is the likely slip.
                let hint = if KEYS.contains(&other) {
                    format!("`{other}` belongs below `[{}check]`", prefix(is_pyproject))
                } else {
                    "known: `check`, `categories`".to_owned()
                };
                let what = format!("unknown key `{other}`");
                return Err(error(Wrong { at: key.span().start, what, hint: Some(hint) }));
            }
        }
    }
    Ok(Some(config))
}

fn prefix(is_pyproject: bool) -> &'static str {
    if is_pyproject { "tool.oomscope." } else { "" }
}

fn set(config: &mut FileConfig, key: &str, at: usize, value: &Value<'_>) -> Result<(), Wrong> {
    match key {
        "select" => config.choice.select = Some(selectors(value, key)?),
        "extend-select" => config.choice.extend_select = selectors(value, key)?,
        "ignore" => config.choice.ignore = selectors(value, key)?,
        "exclude" => config.exclude = Some(globs(value, key)?),
        "extend-exclude" => config.extend_exclude = globs(value, key)?,
        "per-file-ignores" => {
            for (glob, rules) in as_table(value, key)? {
                let pattern = checked_glob(glob.get_ref().to_string(), glob.span().start)?;
                config.per_file_ignores.push((pattern, selectors(rules, glob.get_ref())?));
            }
        }
        "severity" => {
            for (name, level) in as_table(value, key)? {
                let rule = selector(name.get_ref(), name.span().start)?;
                config.severity.push((rule, severity(level, name.get_ref())?));
            }
            // Groups first, so that what is said of one rule is said last.
            config.severity.sort_by_key(|(rule, _)| matches!(rule, Selector::Rule(_)));
        }
        "fail-on" => config.fail_on = Some(severity(value, key)?),
        "respect-gitignore" => {
            let Some(is) = value.get_ref().as_bool() else {
                return Err(wrong_type(value, key, "true or false"));
            };
            config.respect_gitignore = Some(is);
        }
        _ => {
            let hint = match nearest(key, KEYS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: `{}`", KEYS.join("`, `")),
            };
            let what = format!("unknown key `{key}`");
            return Err(Wrong { at, what, hint: Some(hint) });
        }
    }
    Ok(())
}

fn as_table<'v, 't>(value: &'v Value<'t>, key: &str) -> Result<&'v DeTable<'t>, Wrong> {
    value.get_ref().as_table().ok_or_else(|| wrong_type(value, key, "a table"))
}

fn wrong_type(value: &Value<'_>, key: &str, wanted: &str) -> Wrong {
    Wrong { at: value.span().start, what: format!("`{key}` is not {wanted}"), hint: None }
}

fn strings(value: &Value<'_>, key: &str) -> Result<Vec<(String, usize)>, Wrong> {
    let wrong = |value| wrong_type(value, key, "a list of strings");
    let list = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
    list.iter()
        .map(|item| match item.get_ref() {
            DeValue::String(text) => Ok((text.to_string(), item.span().start)),
            _ => Err(wrong(item)),
        })
        .collect()
}

fn selectors(value: &Value<'_>, key: &str) -> Result<Vec<Selector>, Wrong> {
    strings(value, key)?.iter().map(|(name, at)| selector(name, *at)).collect()
}

fn selector(name: &str, at: usize) -> Result<Selector, Wrong> {
    Selector::parse(name).map_err(|unknown| Wrong {
        at,
        what: unknown.to_string(),
        hint: unknown.hint(),
    })
}

fn globs(value: &Value<'_>, key: &str) -> Result<Vec<String>, Wrong> {
    strings(value, key)?.into_iter().map(|(glob, at)| checked_glob(glob, at)).collect()
}

fn checked_glob(glob: String, at: usize) -> Result<String, Wrong> {
    match globset::Glob::new(&glob) {
        Ok(_) => Ok(glob),
        Err(error) => Err(Wrong { at, what: format!("not a glob: {error}"), hint: None }),
    }
}

fn severity(value: &Value<'_>, key: &str) -> Result<Severity, Wrong> {
    match value.get_ref().as_str() {
        Some("error") => Ok(Severity::Error),
        Some("warning") => Ok(Severity::Warning),
        Some("note") => Ok(Severity::Note),
        Some(_) | None => Err(wrong_type(value, key, "\"error\", \"warning\" or \"note\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_nearest_key() {
        for (text, message) in [
            (
                "[check]\nslect = []\n",
                "a.toml: line 2: unknown key `slect`; did you mean `select`?",
            ),
            (
                "select = []\n",
                "a.toml: line 1: unknown key `select`; `select` belongs below `[check]`",
            ),
            (
                "[check]\nselect = [\n  'OOM101',\n  'loss-acumulation']\n",
                "a.toml: line 4: no rule or group is called `loss-acumulation`; did you mean `loss-accumulation`?",
            ),
            ("[check]\nselect = 'ALL'\n", "a.toml: line 2: `select` is not a list of strings"),
            (
                "[check.severity]\nOOM101 = 'fatal'\n",
                "a.toml: line 2: `OOM101` is not \"error\", \"warning\" or \"note\"",
            ),
        ] {
            let error = read(Path::new("a.toml"), text).expect_err("it is wrong");
            assert_eq!(error.to_string(), message);
        }
        let broken = read(Path::new("a.toml"), "[check]\nselect = [\n").expect_err("it is wrong");
        assert!(broken.to_string().starts_with("a.toml: line "), "{broken}");
    }

    #[test]
    fn a_pyproject_without_our_table_says_nothing() {
        let path = Path::new("pyproject.toml");
        assert_eq!(read(path, "[tool.ruff]\nx = 1\n"), Ok(None));
        let text = "[tool.oomscope.check]\nignore = ['OOM1']\n";
        let ours = read(path, text).expect("it is right").expect("it is there");
        assert_eq!(ours.choice.ignore.len(), 1);
    }
}
