//! The command line as a user meets it: standard output, standard error, exit code.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use common::{oomscope, oomscope_in};

const MESSAGE: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 15.66 GiB. GPU 0 has a total capacity of 8.00 GiB of which 6.27 GiB is free. Including non-PyTorch memory, this process has 1.73 GiB memory in use. Of the allocated memory 1.32 GiB is allocated by PyTorch, and 16.45 MiB is reserved by PyTorch but unallocated.";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

#[test]
fn a_pasted_message_is_diagnosed() {
    let output = oomscope(&["diagnose", MESSAGE]);
    assert!(
        text(&output.stdout).starts_with("out of memory[oversized-allocation]"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn standard_input_is_read_for_a_dash() {
    let output = oomscope_in(&common::root(), &["diagnose", "-", "--format", "json"], MESSAGE);
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(diagnosis["memory_error"]["requested_bytes"], 16_814_796_964_u64);
    assert_eq!(diagnosis["memory_error"]["cap_bytes"], serde_json::Value::Null);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_missing_file_is_named_and_exits_with_two() {
    let output = oomscope(&["diagnose", "runs/nothing.log"]);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "error: runs/nothing.log: no such file or directory\nhint: quote the whole message to have it read as text\nerror: nothing could be read\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_folder_that_holds_nothing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("runs")).expect("created");
    std::fs::write(folder.path().join("runs/notes.txt"), "all went well\n").expect("written");
    let output = oomscope_in(folder.path(), &["diagnose", "runs"], "");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.starts_with(
            "error: runs: no log with a failure, no snapshot and no Python source in it\n"
        ),
        "{said}"
    );
}

#[test]
fn a_recording_without_steps_does_not_claim_that_memory_is_flat() {
    let output = oomscope(&["diagnose", "crates/oomscope_snapshot/tests/data/ring_wrapped.pickle"]);
    let said = text(&output.stdout).replace('\n', " ");
    assert!(said.contains("too few steps to tell growth"), "{said}");
    assert!(!said.contains("nothing outlives its step"), "{said}");
}

#[test]
fn healthy_source_finds_nothing_and_exits_with_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("m.py"),
        "import math\n\n\ndef area(r):\n    return math.pi * r * r\n",
    )
    .expect("written");
    let output = oomscope_in(folder.path(), &["diagnose", "m.py"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn without_arguments_the_folder_is_searched_and_said() {
    let output = oomscope_in(&common::root().join("examples/retained_graph"), &["diagnose"], "");
    let said = text(&output.stderr);
    for found in ["found log ./log.txt", "found snapshot ./snapshot.pickle", "found 1 Python file"]
    {
        assert!(said.contains(found), "{said}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_existing_output_file_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.md");
    std::fs::write(&file, "mine").expect("written");
    let name = file.to_str().expect("a name");
    let refused = oomscope(&["diagnose", MESSAGE, "--format", "markdown", "-o", name]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--force"));
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), "mine");
    let forced = oomscope(&["diagnose", MESSAGE, "--format", "markdown", "-o", name, "--force"]);
    assert_eq!(forced.status.code(), Some(1));
    assert!(std::fs::read_to_string(&file).expect("readable").contains("Root cause"));
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1,
        "no draft is left behind"
    );
}

#[test]
fn colour_is_written_only_when_asked() {
    let plain = oomscope(&["diagnose", MESSAGE]);
    assert!(!plain.stdout.contains(&0x1b));
    let coloured = oomscope(&["diagnose", MESSAGE, "--color", "always"]);
    assert!(coloured.stdout.contains(&0x1b));
}

#[test]
fn damaged_files_are_named_and_never_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(common::root().join("examples/retained_graph/snapshot.pickle"))
        .expect("the example");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty.pickle", Vec::new()),
        ("half.pickle", whole[..whole.len() / 2].to_vec()),
        ("head.pickle", whole[..40].to_vec()),
        ("zeros.bin", vec![0; 4096]),
        ("reduce.pickle", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.".to_vec()),
        ("latin.log", b"caf\xe9 \xff\xfe CUDA out of memory\n".to_vec()),
        ("half.gz", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ("braces.json", vec![b'['; 200_000]),
        ("deep.py", "(".repeat(100_000).into_bytes()),
    ];
    for (name, bytes) in cases {
        std::fs::write(folder.path().join(name), bytes).expect("written");
        let output = oomscope_in(folder.path(), &["diagnose", name], "");
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{name}: {said}");
        assert!(matches!(output.status.code(), Some(0..=2)), "{name}: {:?}", output.status);
    }
    let refused = oomscope_in(folder.path(), &["diagnose", "reduce.pickle"], "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("STACK_GLOBAL"), "{}", text(&refused.stderr));
    let half = oomscope_in(folder.path(), &["diagnose", "half.pickle", "--format", "json"], "");
    let diagnosis: serde_json::Value =
        serde_json::from_slice(&half.stdout).expect("what could be read is diagnosed");
    assert!(
        diagnosis["problems"][0]["at"].as_str().is_some_and(|at| at.contains("byte")),
        "{}",
        diagnosis["problems"]
    );
}

#[test]
fn compressed_inputs_are_read() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(common::root().join("examples/retained_graph/snapshot.pickle"))
        .expect("the example");
    let file = std::fs::File::create(folder.path().join("oom.pickle.gz")).expect("created");
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(&whole).and_then(|()| gzip.finish().map(drop)).expect("written");
    let output = oomscope_in(folder.path(), &["diagnose", "oom.pickle.gz", "--format", "json"], "");
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(diagnosis["causes"][0]["name"], "graph-retained");
}

#[test]
fn explain_prints_a_cause_a_rule_and_near_names() {
    let cause = oomscope(&["explain", "graph-retained"]);
    assert!(text(&cause.stdout).contains("graph-retained"));
    assert_eq!(cause.status.code(), Some(0));
    let rule = oomscope(&["explain", "OOM101"]);
    assert!(text(&rule.stdout).contains("loss-accumulation"));
    let unknown = oomscope(&["explain", "retained"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("graph-retained"), "{}", text(&unknown.stderr));
}

#[test]
fn every_command_of_the_readme_works() {
    let readme = std::fs::read_to_string(common::root().join("README.md")).expect("the README");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut run = 0;
    for line in blocks.flat_map(str::lines).filter(|line| line.starts_with("oomscope ")) {
        let command = line.split_once("   #").map_or(line, |(command, _)| command).trim();
        let mut arguments: Vec<&str> = Vec::new();
        for (index, part) in command.split('"').enumerate() {
            if index % 2 == 1 {
                arguments.push(part);
            } else {
                arguments.extend(part.split_whitespace());
            }
        }
        let output = oomscope(&arguments[1..]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {}", text(&output.stderr));
        assert!(!output.stdout.is_empty(), "{line}");
        run += 1;
    }
    assert!(run >= 6, "only {run} commands were found");
}
