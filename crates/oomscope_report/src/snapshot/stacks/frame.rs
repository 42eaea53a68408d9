//! Frames as flames show them: `function (file:line)`, without the folders that say nothing.

use std::collections::HashMap;

use oomscope_model::{Frame, FrameId, FrameOrigin, StackId};
use oomscope_snapshot::Stacks;

use super::{FrameChoice, FrameV1, SpanName, origin};
use crate::Charset;
use crate::clean::clean;
use crate::root::folder_of_all;

/// Stands for the frames of a block that has none.
const NO_STACK: &str = "[no stack recorded]";
/// Stands for the frames of a stack that has none of the user's.
const NO_USER_FRAME: &str = "[no frame of the user's]";

/// The frames in use, each once.
pub(super) struct Table<'s> {
    recorded: &'s Stacks,
    choice: FrameChoice,
    folder: String,
    frames: Vec<FrameV1>,
    ids: HashMap<FrameId, Option<u32>>,
    missing: HashMap<&'static str, u32>,
}

impl<'s> Table<'s> {
    pub(super) fn new(recorded: &'s Stacks, choice: FrameChoice) -> Table<'s> {
        let all = (0..recorded.frame_count()).filter_map(|id| recorded.frame(FrameId(id as u32)));
        let of_user = all.filter(|frame| frame.origin() == FrameOrigin::User);
        let folder = folder_of_all(of_user.map(|frame| frame.file.as_str())).to_owned();
        Table {
            recorded,
            choice,
            folder,
            frames: Vec::new(),
            ids: HashMap::new(),
            missing: HashMap::new(),
        }
    }

    /// The ids of a stack's chosen frames, outermost first; of a stand-in where there are none.
    pub(super) fn frames_of(&mut self, stack: StackId) -> Vec<u32> {
        let recorded = self.recorded;
        let mut is_recorded = false;
        let mut frames = Vec::new();
        for id in recorded.frame_ids_of(stack) {
            is_recorded = true;
            frames.extend(self.id(id));
        }
        if frames.is_empty() {
            frames.push(self.stand_in(if is_recorded { NO_USER_FRAME } else { NO_STACK }));
        }
        frames.reverse();
        frames
    }

    fn id(&mut self, id: FrameId) -> Option<u32> {
        if let Some(known) = self.ids.get(&id) {
            return *known;
        }
        let chosen = self.recorded.frame(id).and_then(|frame| {
            let whose = frame.origin();
            if self.choice == FrameChoice::User && whose != FrameOrigin::User {
                return None;
            }
            let next = self.frames.len() as u32;
            self.frames.push(FrameV1 {
                text: text(frame, &self.folder),
                function: frame.function.clone(),
                file: frame.file.clone(),
                line: frame.line,
                origin: origin(whose),
            });
            Some(next)
        });
        self.ids.insert(id, chosen);
        chosen
    }

    fn stand_in(&mut self, text: &'static str) -> u32 {
        *self.missing.entry(text).or_insert_with(|| {
            let next = self.frames.len() as u32;
            self.frames.push(FrameV1 {
                text: text.to_owned(),
                function: text.to_owned(),
                file: String::new(),
                line: 0,
                origin: "none",
            });
            next
        })
    }

    /// A stack's innermost frame of the user's, else its innermost one, and all of it.
    pub(super) fn span_name(&self, frames: &[u32]) -> SpanName {
        let known = || frames.iter().rev().filter_map(|&id| self.frames.get(id as usize));
        let named = known().find(|frame| frame.origin == "user").or_else(|| known().next());
        let lines: Vec<&str> = known().map(|frame| frame.text.as_str()).collect();
        SpanName {
            name: named.map(|frame| frame.text.clone()).unwrap_or_default(),
            stack: lines.join("\n"),
        }
    }

    pub(super) fn finish(self) -> Vec<FrameV1> {
        self.frames
    }
}

/// `function (file:line)`: ends in a bracket, so that no format takes its figure for a weight.
fn text(frame: &Frame, folder: &str) -> String {
    let file = match frame.origin() {
        FrameOrigin::User => frame.file.strip_prefix(folder).unwrap_or(&frame.file),
        FrameOrigin::Library => below_packages(&frame.file),
        FrameOrigin::Native => frame.file.rsplit(['/', '\\']).next().unwrap_or(&frame.file),
    };
    let place = match (frame.origin(), file) {
        (FrameOrigin::Native, "" | "??") => "C++".to_owned(),
        // The line of a C++ frame is an offset in recent PyTorch.
        (FrameOrigin::Native, file) => file.to_owned(),
        (_, file) => format!("{file}:{}", frame.line),
    };
    let text = format!("{} ({place})", frame.function);
    // A semicolon separates frames in folded stacks.
    clean(&text, Charset::Unicode).replace(';', ",")
}

/// What is below the folder that packages, or the standard library, are installed in.
fn below_packages(file: &str) -> &str {
    let below = |part: &str| file.rfind(part).and_then(|at| file.get(at + part.len()..));
    let in_packages = below("/site-packages/").or_else(|| below("/dist-packages/"));
    let in_library = || below("/lib/python").and_then(|tail| Some(tail.split_once('/')?.1));
    in_packages.or_else(in_library).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::text;
    use oomscope_model::Frame;

    #[test]
    fn frames_are_short_and_end_in_no_figure() {
        for (file, line, function, shown) in [
            ("/run/src/train.py", 7, "main", "main (src/train.py:7)"),
            (
                "/opt/lib/python3.12/site-packages/torch/nn/modules/linear.py",
                134,
                "forward",
                "forward (torch/nn/modules/linear.py:134)",
            ),
            ("/usr/lib/python3.12/runpy.py", 88, "_run", "_run (runpy.py:88)"),
            ("??", 0, "at::empty(c10::Device; int)", "at::empty(c10::Device, int) (C++)"),
            ("/x/libtorch_cpu.so", 991, "a 12", "a 12 (libtorch_cpu.so)"),
            ("/run/a.py", 1, "e\x1b[31m\n", "e\\u{1b}[31m  (a.py:1)"),
        ] {
            let frame = Frame { file: file.into(), line, function: function.into() };
            assert_eq!(text(&frame, "/run/"), shown);
        }
    }
}
