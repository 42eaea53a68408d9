//! An anonymised snapshot tells the same story under other names.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

mod files;

use std::collections::HashSet;

use oomscope_model::{Frame, FrameOrigin, StackId};
use oomscope_snapshot::{Anonymise, Snapshot, Trace, anonymise, phase_of, read, summarise};

fn anonymised(snapshot: &Snapshot) -> Snapshot {
    anonymise(snapshot, &Anonymise { salt: Some("a test".to_owned()) })
}

fn snapshots() -> impl Iterator<Item = (String, Snapshot)> {
    files::snapshots().into_iter().filter_map(|path| {
        let bytes = std::fs::read(&path).expect("the file is readable");
        Some((path.display().to_string(), read(&bytes).ok()?))
    })
}

/// The stacks that something refers to.
fn stacks(snapshot: &Snapshot) -> HashSet<StackId> {
    let blocks = snapshot.segments.iter().flat_map(|segment| &segment.blocks);
    let events = snapshot.traces.iter().flat_map(Trace::iter);
    blocks.map(|block| block.stack).chain(events.map(|(_, event)| event.stack)).collect()
}

#[test]
fn whose_code_it_is_and_what_it_did_stay() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        for stack in stacks(&snapshot) {
            let of = |snapshot: &Snapshot| -> Vec<Frame> {
                snapshot.stacks.frames_of(stack).cloned().collect()
            };
            let (before, after) = (of(&snapshot), of(&anonymous));
            let origins = |frames: &[Frame]| -> Vec<(FrameOrigin, u32)> {
                frames.iter().map(|frame| (frame.origin(), frame.line)).collect()
            };
            assert_eq!(origins(&before), origins(&after), "{name}");
            let python = |frames: &[Frame]| {
                phase_of(frames.iter().filter(|frame| frame.origin() != FrameOrigin::Native))
            };
            assert_eq!(python(&before), python(&after), "{name}: {before:?} {after:?}");
        }
    }
}

#[test]
fn the_figures_of_the_analysis_stay() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        let told = |snapshot: &Snapshot| -> Vec<String> {
            let devices = summarise("a.pickle", snapshot, None);
            let figures = devices.iter().map(|device| {
                let mut held: Vec<_> = device.holders.iter().map(|it| it.bytes).collect();
                held.sort();
                let grown = device.growth.as_ref().map(|growth| growth.total);
                format!("{:?} {:?} {:?} {held:?} {grown:?}", device.state, device.end, device.roles)
            });
            figures.collect()
        };
        assert_eq!(told(&snapshot), told(&anonymous), "{name}");
    }
}

#[test]
fn no_folder_of_the_user_is_left() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        for (before, after) in snapshot.stacks.frames().iter().zip(anonymous.stacks.frames()) {
            let home = before.file.split('/').skip_while(|part| *part != "home").nth(1);
            if let Some(user) = home.filter(|user| user.len() > 3) {
                assert!(!after.file.contains(user), "{name}: {after:?}");
            }
            let is_notebook = before.file.contains("ipykernel") || before.file.starts_with('<');
            if before.origin() == FrameOrigin::User && before.file.contains('/') && !is_notebook {
                assert_ne!(before.file, after.file, "{name}");
            }
        }
    }
}
