//! Rules on the tool's own comments.

use crate::rules::Rule;

mod unused_allow;

pub(super) static RULES: &[Rule] = &[unused_allow::RULE];

/// OOM001, whose findings are made when the others are known.
pub(crate) fn unused_allow() -> &'static Rule {
    static RULE: Rule = unused_allow::RULE;
    &RULE
}
