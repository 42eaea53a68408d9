//! Which rules are on: names, ids, prefixes of ids, groups, `ALL`. The more specific wins.

use std::fmt;

use crate::rules::{Group, Rule, rule, rules};

/// What `--select` and `allow[...]` take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `ALL`: every rule.
    All,
    /// `evaluation`: a group.
    Group(Group),
    /// `OOM1`: ids that start so.
    Prefix(String),
    /// `OOM101` or `loss-accumulation`: a rule, by its id.
    Rule(&'static str),
}

/// Nothing has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// As written.
    pub name: String,
    /// What was perhaps meant.
    pub nearest: Option<&'static str>,
}

impl Selector {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Selector, UnknownName> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("all") {
            return Ok(Selector::All);
        }
        if let Some(rule) = rule(text) {
            return Ok(Selector::Rule(rule.id));
        }
        if let Some(group) = Group::ALL.into_iter().find(|group| group.name() == text) {
            return Ok(Selector::Group(group));
        }
        let upper = text.to_ascii_uppercase();
        if upper.starts_with("OOM") && rules().any(|rule| rule.id.starts_with(&upper)) {
            return Ok(Selector::Prefix(upper));
        }
        let names = rules().flat_map(|rule| [rule.name, rule.id]);
        let groups = Group::ALL.into_iter().map(Group::name);
        Err(UnknownName { name: text.to_owned(), nearest: nearest(text, names.chain(groups)) })
    }

    /// The rules that it names.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        rules().filter(|rule| self.matches(rule))
    }

    fn matches(&self, rule: &Rule) -> bool {
        match self {
            Selector::All => true,
            Selector::Group(group) => rule.group == *group,
            Selector::Prefix(prefix) => rule.id.starts_with(prefix.as_str()),
            Selector::Rule(id) => rule.id == *id,
        }
    }

    /// Whether it names the rule with this id.
    pub fn names_id(&self, id: &str) -> bool {
        rule(id).is_some_and(|rule| self.matches(rule))
    }

    /// Larger is more specific.
    fn specificity(&self) -> usize {
        match self {
            Selector::All => 0,
            Selector::Group(_) => 1,
            Selector::Prefix(prefix) => prefix.len(),
            Selector::Rule(_) => usize::MAX,
        }
    }
}

/// What one place (a file, the command line) says about which rules are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only these, where given.
    pub select: Option<Vec<Selector>>,
    /// These as well.
    pub extend_select: Vec<Selector>,
    /// Not these.
    pub ignore: Vec<Selector>,
}

/// Which rules are on, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    on: Vec<&'static str>,
}

impl Selection {
    /// All rules, then what each choice says, the later the stronger; a `select` starts anew.
    pub fn of(choices: &[Choice]) -> Selection {
        let mut on: Vec<&'static Rule> = rules().collect();
        for choice in choices {
            if choice.select.is_some() {
                on.clear();
            }
            let selects = choice.select.iter().flatten().chain(&choice.extend_select);
            let mut steps: Vec<(&Selector, bool)> =
                selects.map(|selector| (selector, true)).collect();
            steps.extend(choice.ignore.iter().map(|selector| (selector, false)));
            // Stable: of equals, what is ignored comes last.
            steps.sort_by_key(|(selector, _)| selector.specificity());
            for (selector, is_on) in steps {
                on.retain(|rule| !selector.matches(rule));
                if is_on {
                    on.extend(selector.rules());
                }
            }
        }
        let mut on: Vec<&'static str> = on.iter().map(|rule| rule.id).collect();
        on.sort_unstable();
        Selection { on }
    }

    /// Whether a rule is on.
    pub fn is_on(&self, id: &str) -> bool {
        self.on.binary_search(&id).is_ok()
    }

    /// The rules that are on, by id.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.on.iter().filter_map(|id| rule(id))
    }
}

impl UnknownName {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self.nearest {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`oomscope rules` lists them".to_owned(),
        })
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no rule or group is called `{}`", self.name)
    }
}

impl std::error::Error for UnknownName {}

/// The name that is nearest to what was written, if one is near.
pub fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wanted: String = wanted.chars().take(64).flat_map(char::to_lowercase).collect();
    let within = wanted.chars().count() / 3 + 1;
    let near = |name: &'n str| {
        let distance = distance(&wanted, &name.to_lowercase());
        // A name that is only one part of what was meant is near, too.
        let contains = wanted.len() >= 4 && name.contains(&wanted);
        (distance <= within || contains).then_some((distance, name))
    };
    names.filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters must be added, removed or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(number + 1);
        for (index, known) in other.iter().enumerate() {
            let above = row.get(index).copied().unwrap_or(0);
            let changed = above + usize::from(*known != letter);
            let removed = row.get(index + 1).map_or(changed, |value| value + 1);
            let added = next.last().map_or(changed, |value| value + 1);
            next.push(changed.min(removed).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Choice, Selection, Selector, nearest};

    fn selectors(text: &str) -> Vec<Selector> {
        text.split_whitespace().map(|one| Selector::parse(one).expect("it is known")).collect()
    }

    fn choice(select: &str, ignore: &str) -> Choice {
        let select = (!select.is_empty()).then(|| selectors(select));
        Choice { select, extend_select: Vec::new(), ignore: selectors(ignore) }
    }

    #[test]
    fn the_more_specific_wins_and_of_equals_what_is_ignored() {
        for (select, ignore, on, off) in [
            ("ALL", "OOM1", "OOM301", "OOM101"),
            ("OOM101", "OOM1", "OOM101", "OOM102"),
            ("evaluation", "OOM301", "OOM302", "OOM301"),
            ("OOM1", "OOM1", "", "OOM101"),
            ("graph-retention", "loss-accumulation", "OOM102", "OOM101"),
            ("", "eval-without-no-grad", "OOM101", "OOM301"),
        ] {
            let selection = Selection::of(&[choice(select, ignore)]);
            assert!(on.is_empty() || selection.is_on(on), "{select} - {ignore}: {on}");
            assert!(!selection.is_on(off), "{select} - {ignore}: {off}");
        }
    }

    #[test]
    fn a_later_select_starts_anew_and_a_later_ignore_does_not() {
        let first = choice("OOM1", "OOM102");
        let selection = Selection::of(&[first.clone(), choice("OOM3", "")]);
        assert!(selection.is_on("OOM301") && !selection.is_on("OOM101"));
        let selection = Selection::of(&[first, choice("", "OOM103")]);
        assert!(selection.is_on("OOM101"));
        assert!(!selection.is_on("OOM102") && !selection.is_on("OOM103"));
    }

    #[test]
    fn a_misspelt_name_has_a_near_one() {
        let unknown = Selector::parse("loss-acumulation").expect_err("it is unknown");
        assert_eq!(unknown.nearest, Some("loss-accumulation"));
        assert_eq!(nearest("slect", ["select", "ignore"].into_iter()), Some("select"));
        assert_eq!(nearest("colour", ["select", "ignore"].into_iter()), None);
    }
}
