//! The file format of speedscope (`https://www.speedscope.app/file-format-schema.json`): a
//! profile a device, with the frames shared.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::Subject;
use crate::json::write_json;

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: String,
    #[serde(rename = "activeProfileIndex")]
    active: usize,
    shared: Shared<'a>,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Clone, Copy, Serialize, PartialEq, Eq, Hash)]
struct Frame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    /// `bytes`, or `none` for a number of blocks.
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    /// Outermost first, as indices into the shared frames.
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

pub(super) fn write(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut known: HashMap<Frame<'_>, usize> = HashMap::new();
    let mut profiles = Vec::new();
    for subject in subjects {
        let view = subject.view;
        let ids: Vec<usize> = view
            .frames
            .iter()
            .map(|frame| {
                let frame = Frame {
                    name: &frame.text,
                    file: (!frame.file.is_empty()).then_some(frame.file.as_str()),
                    line: (frame.line > 0).then_some(frame.line),
                };
                *known.entry(frame).or_insert_with(|| {
                    frames.push(frame);
                    frames.len() - 1
                })
            })
            .collect();
        let sample = |stack: &super::StackV1| {
            stack.frames.iter().filter_map(|&id| ids.get(id as usize).copied()).collect()
        };
        profiles.push(Profile {
            kind: "sampled",
            name: format!("{}: {}", subject.name(), view.headline()),
            unit: if view.weighs == "blocks" { "none" } else { "bytes" },
            start: 0,
            end: view.total,
            samples: view.stacks.iter().map(sample).collect(),
            weights: view.stacks.iter().map(|stack| stack.weight).collect(),
        });
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: format!("oomscope@{}", env!("CARGO_PKG_VERSION")),
        name: subjects.first().map_or_else(String::new, Subject::name),
        active: 0,
        shared: Shared { frames },
        profiles,
    };
    write_json(&file, out)
}
