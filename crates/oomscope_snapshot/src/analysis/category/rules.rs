//! Categories of the user's own: patterns of frames, first match wins.

use oomscope_model::Role;
use regex::Regex;

use super::{Kind, Verdict, Why};
use crate::Stacks;

/// The user's categories, in order: a block whose stack has a frame `FILE:LINE FUNCTION` that a
/// pattern matches is of that category; the first rule that matches any frame wins.
#[derive(Clone, Debug, Default)]
pub struct CategoryRules {
    rules: Vec<(String, Regex)>,
}

impl CategoryRules {
    /// Rules in order. A name that is one of ours, as `activations`, means that one.
    pub fn new(rules: Vec<(String, Regex)>) -> CategoryRules {
        CategoryRules { rules }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn verdict(&self, rule: u32) -> Option<Verdict> {
        let (name, _) = self.rules.get(rule as usize)?;
        let kind = Role::ALL
            .into_iter()
            .find(|role| role.name() == name)
            .map_or(Kind::Own(rule), Kind::Known);
        Some(Verdict { kind, why: Why::Rule(rule) })
    }

    pub(crate) fn name(&self, rule: u32) -> Option<&str> {
        self.rules.get(rule as usize).map(|(name, _)| name.as_str())
    }

    /// The rule of each stack. Each frame is looked at once.
    pub(super) fn by_stack(&self, stacks: &Stacks) -> Vec<Option<u32>> {
        let of_frame: Vec<Option<u32>> = stacks
            .frames()
            .iter()
            .map(|frame| {
                let text = format!("{}:{} {}", frame.file, frame.line, frame.function);
                self.rules.iter().position(|(_, rule)| rule.is_match(&text)).map(|it| it as u32)
            })
            .collect();
        let mut of_stack: Vec<Option<u32>> = Vec::with_capacity(stacks.len());
        // Callers precede the stacks that they call.
        for (caller, frame) in stacks.edges() {
            let above = of_stack.get(caller.0 as usize).copied().flatten();
            let own = of_frame.get(frame.0 as usize).copied().flatten();
            of_stack.push([above, own].into_iter().flatten().min());
        }
        of_stack
    }
}
