//! Applies edits to text: sorted, in bounds, never overlapping. What does not fit is left out.

use std::collections::BTreeMap;

use oomscope_model::{Edit, Fix};

/// Applies edits; `None` where two overlap or one does not fit the text.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        if edit.start < at || edit.end < edit.start {
            return None;
        }
        result.push_str(text.get(at..edit.start)?);
        // Both ends lie between characters.
        text.get(edit.start..edit.end)?;
        result.push_str(&edit.text);
        at = edit.end;
    }
    result.push_str(text.get(at..)?);
    Some(result)
}

/// Chooses fixes that can be applied together, the earlier first: an edit may neither overlap nor
/// touch an edit of another fix, and the same fix counts once. Returns their indices.
pub fn compatible(text: &str, fixes: &[&Fix]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..fixes.len()).collect();
    order.sort_by_key(|index| {
        let edits = fixes.get(*index).map(|fix| fix.edits.as_slice()).unwrap_or_default();
        edits.iter().map(|edit| (edit.start, edit.end)).min()
    });
    // Starts and ends of what is taken, which never touch.
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let mut chosen: Vec<usize> = Vec::new();
    for index in order {
        let Some(fix) = fixes.get(index) else { continue };
        let is_new = fix.edits.iter().all(|edit| {
            taken.range(..=edit.end).next_back().is_none_or(|(_, end)| *end < edit.start)
        });
        if !is_new || fix.edits.is_empty() || apply(text, &fix.edits).is_none() {
            continue;
        }
        taken.extend(fix.edits.iter().map(|edit| (edit.start, edit.end)));
        chosen.push(index);
    }
    chosen
}

/// How many syntax errors a text has.
pub fn syntax_errors(path: &str, text: &str) -> usize {
    crate::parse::syntax_errors(path, text)
}

#[cfg(test)]
mod tests {
    use oomscope_model::{Edit, Fix, FixSafety};
    use proptest::prelude::*;

    use super::{apply, compatible};

    fn fix(edits: Vec<Edit>) -> Fix {
        Fix { safety: FixSafety::Safe, title: String::new(), edits }
    }

    #[test]
    fn edits_out_of_bounds_or_inside_a_character_are_refused() {
        for (start, end) in [(0, 99), (3, 2), (1, 2), (usize::MAX, usize::MAX)] {
            let edit = Edit { start, end, text: "x".to_owned() };
            assert_eq!(apply("é!", &[edit]), None, "{start}..{end}");
        }
    }

    #[test]
    fn a_second_insertion_at_one_place_waits_for_the_next_round() {
        let insert = |text: &str| fix(vec![Edit { start: 1, end: 1, text: text.to_owned() }]);
        let (one, two) = (insert("x"), insert("y"));
        assert_eq!(compatible("ab", &[&one, &two]), [0]);
    }

    fn edits() -> impl Strategy<Value = Vec<Vec<(usize, usize, String)>>> {
        let edit = (0usize..40, 0usize..6, "[a-zé]{0,3}");
        prop::collection::vec(prop::collection::vec(edit, 1..3), 0..8)
    }

    proptest! {
        #[test]
        fn chosen_fixes_never_overlap_and_leave_the_rest_as_it_was(
            text in "[a-c日\r\n ]{0,30}", many in edits(),
        ) {
            let fixes: Vec<Fix> = many
                .into_iter()
                .map(|edits| {
                    fix(edits.into_iter().map(|(start, length, text)| {
                        Edit { start, end: start + length, text }
                    }).collect())
                })
                .collect();
            let chosen = compatible(&text, &fixes.iter().collect::<Vec<_>>());
            let all: Vec<Edit> =
                chosen.iter().flat_map(|index| fixes[*index].edits.clone()).collect();
            let result = apply(&text, &all);
            prop_assert!(result.is_some());
            let added: usize = all.iter().map(|edit| edit.text.len()).sum();
            let removed: usize = all.iter().map(|edit| edit.end - edit.start).sum();
            prop_assert_eq!(result.map(|text| text.len()), Some(text.len() + added - removed));
        }
    }
}
