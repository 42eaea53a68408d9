//! Brendan Gregg's folded stacks: `outermost;...;innermost 1234`, a line a stack.

use std::io::{self, Write};

use super::Subject;

pub(super) fn write(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    for subject in subjects {
        for line in lines(subject, subjects.len() > 1, usize::MAX) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// The lines of a device, with it as the outermost frame where it is one of several. Of deeper
/// stacks than `deepest` the rest is one frame.
pub(super) fn lines(
    subject: &Subject<'_>,
    is_one_of_several: bool,
    deepest: usize,
) -> impl Iterator<Item = String> {
    let root = is_one_of_several.then(|| subject.name().replace(';', ","));
    let view = subject.view;
    view.stacks.iter().filter(|stack| stack.weight > 0).map(move |stack| {
        let mut frames: Vec<&str> = root.as_deref().into_iter().collect();
        frames.extend(view.texts(stack).take(deepest));
        if stack.frames.len() > deepest {
            frames.push("[deeper frames]");
        }
        format!("{} {}", frames.join(";"), stack.weight)
    })
}
