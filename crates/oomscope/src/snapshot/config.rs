//! `oomscope.toml`: categories of the user's own.
//!
//! ```toml
//! [categories]
//! "kv cache" = 'vllm/.*cache'   # matched against `FILE:LINE FUNCTION`; the first rule wins
//! ```

use std::path::Path;

use oomscope_model::Problem;
use oomscope_snapshot::CategoryRules;
use regex::Regex;
use toml::de::{DeTable, DeValue};

use crate::input;

/// Read when no other file is named, where there is one.
const DEFAULT: &str = "oomscope.toml";

/// The rules of a file, or of the default one.
pub(crate) fn load(named: Option<&Path>) -> Result<CategoryRules, Problem> {
    let path = named.unwrap_or_else(|| Path::new(DEFAULT));
    if named.is_none() && !path.is_file() {
        return Ok(CategoryRules::default());
    }
    let problem = |what: String, at: Option<usize>, text: &str| Problem {
        input: path.display().to_string(),
        at: at.map(|at| line_of(text, at)),
        what,
        hint: None,
    };
    let content =
        input::open(path).map_err(|error| problem(format!("cannot read: {error}"), None, ""))?;
    let text = std::str::from_utf8(&content)
        .map_err(|error| problem("not UTF-8 text".to_owned(), Some(error.valid_up_to()), ""))?;
    rules(text).map_err(|(at, what)| problem(what, at, text))
}

/// Where in the text and what is wrong.
type Wrong = (Option<usize>, String);

fn rules(text: &str) -> Result<CategoryRules, Wrong> {
    let file = DeTable::parse(text)
        .map_err(|error| (error.span().map(|span| span.start), error.message().to_owned()))?;
    let mut rules = Vec::new();
    for (key, value) in file.get_ref() {
        // The settings of `oomscope check`.
        if key.get_ref() == "check" {
            continue;
        }
        if key.get_ref() != "categories" {
            let what = format!("unknown key `{}`; known: `categories`, `check`", key.get_ref());
            return Err((Some(key.span().start), what));
        }
        let DeValue::Table(categories) = value.get_ref() else {
            return Err((Some(value.span().start), "`categories` is no table".to_owned()));
        };
        for (name, pattern) in categories {
            let at = name.span().start;
            let DeValue::String(text) = pattern.get_ref() else {
                let what = format!("category `{}`: the pattern is no string", name.get_ref());
                return Err((Some(pattern.span().start), what));
            };
            let regex = Regex::new(text)
                .map_err(|error| (Some(at), format!("category `{}`: {error}", name.get_ref())))?;
            rules.push((at, name.get_ref().to_string(), regex));
        }
    }
    // The parser sorts keys by name.
    rules.sort_by_key(|(at, ..)| *at);
    Ok(CategoryRules::new(rules.into_iter().map(|(_, name, regex)| (name, regex)).collect()))
}

fn line_of(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    format!("line {}", before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, at, part) in [
            ("[categories]\na = '('\n", Some(13), "category `a`"),
            ("colour = 1\n", Some(0), "unknown key `colour`"),
            ("categories = 1\n", Some(13), "no table"),
            ("[categories]\na = 1\n", Some(17), "no string"),
        ] {
            let (place, what) = rules(text).expect_err("it is wrong");
            assert_eq!(place, at, "{what}");
            assert!(what.contains(part), "{what}");
        }
        assert!(rules("[categories\n").is_err());
        assert!(rules("").expect("empty is fine").is_empty());
    }
}
