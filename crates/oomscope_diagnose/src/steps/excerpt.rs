//! The source around the places that matter.

use oomscope_model::{Assessment, Place};

use crate::context::Context;

const BEFORE: usize = 2;
const AFTER: usize = 2;
const MOST: usize = 3;

/// Up to three excerpts of the best cause's places, in order.
pub(crate) fn around(
    context: &Context<'_>,
    causes: &[Assessment],
) -> Vec<(Place, Vec<(u32, String)>)> {
    let Some(best) = causes.first() else { return Vec::new() };
    let mut shown: Vec<(Place, Vec<(u32, String)>)> = Vec::new();
    for place in &best.places {
        let Some(file) = context.file_of(place) else { continue };
        let near = shown
            .iter()
            .any(|(other, _)| other.file == file.path && other.line.abs_diff(place.line) <= 4);
        let line = usize::try_from(place.line).unwrap_or(0);
        if near || line == 0 {
            continue;
        }
        let first = line.saturating_sub(BEFORE).max(1);
        let lines: Vec<(u32, String)> = file
            .text
            .lines()
            .enumerate()
            .map(|(index, text)| (index + 1, text))
            .skip(first - 1)
            .take_while(|(number, _)| *number <= line + AFTER)
            .map(|(number, text)| (u32::try_from(number).unwrap_or(u32::MAX), text.to_owned()))
            .collect();
        if lines.iter().any(|(number, _)| *number == place.line) {
            shown.push((Place { file: file.path.clone(), ..place.clone() }, lines));
        }
        if shown.len() == MOST {
            break;
        }
    }
    shown
}
