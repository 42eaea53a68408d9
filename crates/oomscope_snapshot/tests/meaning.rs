//! What blocks are and which part of the program made them, on a recorded training of a small
//! network (`tests/data/annotated.pickle`, made by the script beside it).
#![allow(missing_docs)]

use oomscope_model::{Bytes, DeviceId};
use oomscope_snapshot::views::{
    Group, GroupBy, LabelKind, LabelTable, MomentChoice, Selection, annotations, live_set,
};
use oomscope_snapshot::{CategoryRules, Recording, Snapshot, fixture, read};
use regex::Regex;

fn recorded() -> Snapshot {
    read(include_bytes!("data/annotated.pickle")).expect("the file is whole")
}

fn labels(recording: &Recording<'_>, kind: LabelKind) -> LabelTable {
    let point = recording.point(MomentChoice::End).expect("the dump");
    let tables = annotations(recording, point, &Selection::default(), &[kind]);
    tables.into_iter().next().expect("there are labels")
}

fn groups(recording: &Recording<'_>, moment: MomentChoice, by: GroupBy) -> Vec<Group> {
    let point = recording.point(moment).expect("the moment is there");
    live_set(recording, point, &Selection::default(), by).groups
}

#[test]
fn ranges_hold_what_was_made_and_freed_while_they_lasted() {
    let snapshot = recorded();
    let recording = Recording::new(&snapshot, DeviceId(0));
    let table = labels(&recording, LabelKind::Annotation);
    // Added up by hand from the file's events, sizes rounded to 512 bytes.
    let expected = [
        ("step", 286_480_384, 277_546_496, 8_933_888),
        ("backward", 219_840_000, 221_382_144, 0),
        ("forward", 44_044_800, 29_888_512, 512),
        ("blocks", 44_040_192, 28_311_552, 0),
        ("Optimizer.step#Adam.step", 21_022_720, 12_613_632, 8_409_088),
        ("Optimizer.zero_grad#Adam.zero_grad", 0, 12_613_632, 0),
    ];
    let found: Vec<_> = table
        .rows
        .iter()
        .map(|row| (row.label.as_str(), row.allocated.0, row.freed.0, row.live.0))
        .collect();
    assert_eq!(found, expected);
    assert!(table.rows.iter().all(|row| row.spans == 3));
    assert_eq!(table.unmatched, 0);
}

#[test]
fn phases_and_modules_hold_what_the_grouping_says() {
    let snapshot = recorded();
    let recording = Recording::new(&snapshot, DeviceId(0));
    for (kind, by) in [(LabelKind::Phase, GroupBy::Phase), (LabelKind::Module, GroupBy::Module)] {
        let table = labels(&recording, kind);
        for group in groups(&recording, MomentChoice::End, by) {
            let row = table.rows.iter().find(|row| row.label == group.label);
            let live = row.map(|row| row.live);
            assert!(
                live == Some(group.tally.bytes) || group.label == "outside any module",
                "{}: {live:?}",
                group.label
            );
        }
    }
}

#[test]
fn a_trained_network_has_its_parameters_gradients_and_states() {
    let snapshot = recorded();
    let recording = Recording::new(&snapshot, DeviceId(0));
    let groups = groups(&recording, MomentChoice::End, GroupBy::Category);
    let bytes =
        |name: &str| groups.iter().find(|group| group.label == name).map(|group| group.tally.bytes);
    // Two blocks of two layers each: weights of 1 MiB, biases of 4 KiB and 1 KiB.
    let parameters = Bytes(4 * (1 << 20) + 2 * (4096 + 1024));
    assert_eq!(bytes("parameters"), Some(parameters));
    // Two moments a parameter; steps of Adam are on the host.
    assert_eq!(bytes("optimizer state"), Some(parameters + parameters));
    assert_eq!(bytes("gradients"), None);
    assert_eq!(bytes("inputs"), Some(Bytes(512 << 10)));
    assert!(groups.iter().all(|group| !group.reasons.is_empty()));
}

#[test]
fn rules_of_the_user_win_and_the_first_of_them_first() {
    let snapshot = recorded();
    let rule = |name: &str, text: &str| (name.to_owned(), Regex::new(text).expect("a pattern"));
    let rules = CategoryRules::new(vec![
        rule("blocks", r"train\.py:\d+ forward"),
        rule("inputs", r"train\.py:\d+ main"),
    ]);
    let recording = Recording::new(&snapshot, DeviceId(0)).with_rules(&rules);
    let groups = groups(&recording, MomentChoice::Peak, GroupBy::Category);
    let names: Vec<&str> = groups.iter().map(|group| group.label.as_str()).collect();
    assert!(names.contains(&"blocks") && names.contains(&"inputs"), "{names:?}");
    assert!(!names.contains(&"parameters"), "{names:?}");
}

#[test]
fn without_stacks_nothing_is_guessed() {
    let frames = || fixture::Node::List(Vec::new());
    let held = fixture::block(0x1000, 1024, 1000, "active_allocated", frames());
    let trace = vec![
        fixture::event("segment_alloc", 0x1000, 2 << 20, frames()),
        fixture::event("alloc", 0x1000, 1000, frames()),
    ];
    let file = fixture::snapshot(
        vec![fixture::segment(0x1000, 2 << 20, "small", vec![held])],
        vec![trace],
    );
    let snapshot = read(&file).expect("the fixture is whole");
    let recording = Recording::new(&snapshot, DeviceId(0));
    let groups = groups(&recording, MomentChoice::End, GroupBy::Category);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].label, "unknown");
    assert_eq!(groups[0].reasons[0].words, "no stack was recorded");
}
