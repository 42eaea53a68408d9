//! The gzipped protocol buffer of `pprof` (`google/pprof`, `proto/profile.proto`): the messages
//! and fields that a profile of memory has.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::Subject;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
    #[prost(int64, tag = "3")]
    number: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

pub(super) fn write(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&profile(subjects).encode_to_vec())?;
    gzip.finish().map(drop)
}

fn profile(subjects: &[Subject<'_>]) -> Profile {
    let mut texts = Texts::default();
    texts.id("");
    let is_live = subjects.iter().all(|subject| subject.view.scope == "live");
    // The names under which pprof's users know heap profiles.
    let names = if is_live {
        [("inuse_space", "bytes"), ("inuse_requested", "bytes"), ("inuse_objects", "count")]
    } else {
        [("alloc_space", "bytes"), ("alloc_requested", "bytes"), ("alloc_objects", "count")]
    };
    let sample_type = names
        .iter()
        .map(|(kind, unit)| ValueType { kind: texts.id(kind), unit: texts.id(unit) })
        .collect();
    let weighs = subjects.first().map_or("bytes", |subject| subject.view.weighs);
    let default = match weighs {
        "requested" => names[1].0,
        "blocks" => names[2].0,
        _ => names[0].0,
    };
    let mut profile =
        Profile { sample_type, default_sample_type: texts.id(default), ..Profile::default() };
    let mut functions: HashMap<(i64, i64), u64> = HashMap::new();
    let mut locations: HashMap<(u64, u32), u64> = HashMap::new();
    for subject in subjects {
        let view = subject.view;
        let about = format!("{}: {}", subject.name(), view.headline());
        profile.comment.push(texts.id(&about));
        let ids: Vec<u64> = view
            .frames
            .iter()
            .map(|frame| {
                let (name, filename) = (texts.id(&frame.function), texts.id(&frame.file));
                let next = functions.len() as u64 + 1;
                let function_id = *functions.entry((name, filename)).or_insert_with(|| {
                    profile.function.push(Function { id: next, name, system_name: name, filename });
                    next
                });
                let next = locations.len() as u64 + 1;
                *locations.entry((function_id, frame.line)).or_insert_with(|| {
                    let line = Line { function_id, line: frame.line.into() };
                    profile.location.push(Location { id: next, line: vec![line] });
                    next
                })
            })
            .collect();
        let label = vec![
            Label { key: texts.id("file"), text: texts.id(&subject.entry.file), number: 0 },
            Label { key: texts.id("device"), text: 0, number: subject.entry.device.into() },
        ];
        profile.sample.extend(view.stacks.iter().map(|stack| Sample {
            location_id:
                stack.frames.iter().rev().filter_map(|&id| ids.get(id as usize).copied()).collect(),
            value: [stack.bytes, stack.requested, stack.blocks].map(signed).to_vec(),
            label: label.clone(),
        }));
    }
    profile.string_table = texts.table;
    profile
}

fn signed(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// The string table; its first entry must be empty.
#[derive(Default)]
struct Texts {
    table: Vec<String>,
    ids: HashMap<String, i64>,
}

impl Texts {
    fn id(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.ids.get(text) {
            return known;
        }
        let next = signed(self.table.len() as u64);
        self.table.push(text.to_owned());
        self.ids.insert(text.to_owned(), next);
        next
    }
}

#[cfg(test)]
mod tests {
    use oomscope_model::DeviceId;
    use oomscope_snapshot::Recording;
    use oomscope_snapshot::views::{MomentChoice, Scope, Selection, stack_sums};
    use prost::Message;

    use super::{Profile, profile};
    use crate::snapshot::stacks::{
        FrameChoice, StackOptions, Subject, TreeOptions, Weight, stacks,
    };
    use crate::snapshot::{Entry, View};

    #[test]
    fn a_profile_decodes_to_what_was_summed() {
        let file = oomscope_snapshot::fixture::one_live_block();
        let snapshot = oomscope_snapshot::read(&file).expect("a snapshot");
        let recording = Recording::new(&snapshot, DeviceId(0));
        let point = recording.point(MomentChoice::Peak).expect("the peak");
        let sums = stack_sums(&recording, Scope::Live(point), &Selection::default());
        let options = StackOptions {
            weight: Weight::Bytes,
            frames: FrameChoice::All,
            tree: TreeOptions::default(),
        };
        let view = stacks(&snapshot.stacks, &sums, None, options);
        let entry = Entry::new("run.pickle", DeviceId(0), view);
        let View::Stacks(view) = &entry.view else { unreachable!("a view of stacks") };
        let bytes = profile(&[Subject { entry: &entry, view }]).encode_to_vec();
        let decoded = Profile::decode(bytes.as_slice()).expect("a profile");
        assert_eq!(decoded.string_table.first().map(String::as_str), Some(""));
        assert_eq!(decoded.sample.len(), 1);
        assert_eq!(decoded.sample[0].value, [1024, 1000, 1]);
        let name = decoded.function[0].name as usize;
        assert_eq!(decoded.string_table[name], "main");
        assert_eq!(decoded.location[0].line[0].line, 1);
    }
}
