//! `oomscope check` as a user meets it: standard output, standard error, exit code, files.
#![allow(clippy::disallowed_methods)] // tests are at the rim

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::oomscope_in;
use tempfile::TempDir;

const TRAIN: &str = "import torch\nimport torch.nn.functional as F\n\n\n\
    def train(model, loader, optimizer):\n    total = 0.0\n    for x, y in loader:\n        \
    optimizer.zero_grad()\n        loss = F.cross_entropy(model(x), y)\n        \
    loss.backward()\n        optimizer.step()\n        total += loss\n    return total.item()\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    fs::write(path, bytes).expect("written");
}

fn check(folder: &TempDir, arguments: &[&str]) -> Output {
    check_input(folder, arguments, "")
}

fn check_input(folder: &TempDir, arguments: &[&str], input: &str) -> Output {
    let mut all = vec!["check", "--no-cache"];
    all.extend(arguments);
    oomscope_in(folder.path(), &all, input)
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("output is UTF-8")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn each_format_shows_the_finding_and_exits_with_one() {
    let folder = folder(&[("pkg/train.py", TRAIN), ("pkg/clean.py", "import torch\n")]);
    for format in ["text", "concise", "github", "gitlab", "junit", "markdown", "json", "sarif"] {
        let output = check(&folder, &["--format", format]);
        assert_eq!(code(&output), Some(1), "{format}");
        assert_eq!(err(&output), "", "{format}");
        let text = out(&output);
        if format == "sarif" {
            // Its list of rules grows with the rules.
            assert!(text.contains("\"ruleId\": \"OOM101\""), "{text}");
        } else {
            insta::assert_snapshot!(format!("check_{format}"), text);
        }
    }
    assert!(!folder.path().join(".oomscope_cache").exists());
}

#[test]
fn clean_files_and_empty_folders_exit_with_zero_and_missing_ones_with_two() {
    let folder = folder(&[("a.py", "x = 1\n"), ("empty/notes.txt", "")]);
    let clean = check(&folder, &["a.py"]);
    assert_eq!((out(&clean).as_str(), code(&clean)), ("Nothing found in 1 file.\n", Some(0)));
    assert_eq!(out(&check(&folder, &["empty"])), "No Python files to check.\n");
    assert_eq!(out(&check(&folder, &["a.py", "--quiet"])), "");
    let missing = check(&folder, &["nothing.py"]);
    assert_eq!(err(&missing), "error: nothing.py: no such file or directory\n");
    assert_eq!(code(&missing), Some(2));
    let half = check(&folder, &["nothing.py", "a.py"]);
    assert_eq!(err(&half), "warning: nothing.py: no such file or directory\n");
    assert_eq!(code(&half), Some(0));
}

#[test]
fn rules_are_selected_ignored_and_misspelt() {
    let folder = folder(&[("train.py", TRAIN)]);
    for (arguments, expected) in [
        (&["--ignore", "OOM1"][..], 0),
        (&["--ignore", "OOM1", "--extend-select", "loss-accumulation"], 1),
        (&["--select", "evaluation"], 0),
        (&["--select", "evaluation,OOM101"], 1),
        (&["--select", "ALL", "--ignore", "graph-retention"], 0),
        (&["--exit-zero"], 0),
        (&["--fail-on", "error"], 0),
    ] {
        assert_eq!(code(&check(&folder, arguments)), Some(expected), "{arguments:?}");
    }
    let misspelt = check(&folder, &["--select", "loss-acumulation"]);
    assert_eq!(code(&misspelt), Some(2));
    assert_eq!(
        err(&misspelt),
        "error: --select: no rule or group is called `loss-acumulation`; did you mean `loss-accumulation`?\n"
    );
}

#[test]
fn comments_allow_and_comments_in_vain_are_found_and_removed() {
    let allowed = TRAIN.replace("+= loss\n", "+= loss  # oomscope: allow[loss-accumulation]\n");
    let vain = "# oomscope: allow-file[OOM3]\nx = 1  # oomscope: allow[OOM101]\n";
    let folder = folder(&[
        ("allowed.py", &allowed),
        ("vain.py", vain),
        ("odd.py", "# oomscope: allow[x]\n"),
    ]);
    assert_eq!(code(&check(&folder, &["allowed.py"])), Some(0));
    let found = check(&folder, &["vain.py", "--format", "concise", "--quiet"]);
    assert_eq!(
        out(&found),
        "vain.py:1:1: warning[OOM001] [*] nothing in this file needs to be allowed as `OOM3` (unused-allow)\n\
         vain.py:2:8: warning[OOM001] [*] nothing here needs to be allowed as `OOM101` (unused-allow)\n"
    );
    let fixed = check(&folder, &["vain.py", "--fix"]);
    assert_eq!(code(&fixed), Some(0), "{}", err(&fixed));
    assert_eq!(fs::read_to_string(folder.path().join("vain.py")).expect("it is there"), "x = 1\n");
    let odd = check(&folder, &["odd.py"]);
    assert!(err(&odd).starts_with("warning: odd.py: line 1: no rule or group is called `x`\n"));
    assert_eq!(code(&odd), Some(0));
}

#[test]
fn fixes_keep_line_ends_marks_and_encodings() {
    let windows = TRAIN.replace('\n', "\r\n");
    let marked = [b"\xef\xbb\xbf", TRAIN.as_bytes()].concat();
    let latin = [b"# coding: latin-1\n# caf\xe9\n", TRAIN.as_bytes()].concat();
    let folder = folder(&[]);
    for (name, bytes) in
        [("w.py", windows.as_bytes()), ("m.py", marked.as_slice()), ("l.py", latin.as_slice())]
    {
        write(folder.path(), name, bytes);
        let safe = check(&folder, &[name, "--fix"]);
        assert_eq!(fs::read(folder.path().join(name)).expect("it is there"), bytes);
        assert_eq!(code(&safe), Some(1));
        let diff = check(&folder, &[name, "--diff", "--unsafe-fixes"]);
        assert_eq!(code(&diff), Some(1));
        assert!(out(&diff).contains("+        total += loss.detach()"), "{}", out(&diff));
        assert_eq!(fs::read(folder.path().join(name)).expect("it is there"), bytes);
        let fixed = check(&folder, &[name, "--fix", "--unsafe-fixes"]);
        assert_eq!(code(&fixed), Some(0), "{}", out(&fixed));
        let text = String::from_utf8_lossy(bytes).replace("+= loss", "+= loss.detach()");
        let now = fs::read(folder.path().join(name)).expect("it is there");
        assert_eq!(String::from_utf8_lossy(&now), text);
    }
    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 3, "no draft is left behind");
}

#[test]
fn standard_input_is_checked_and_fixed() {
    let folder = folder(&[]);
    let found = check_input(
        &folder,
        &["-", "--stdin-filename", "a.py", "--format", "concise", "-q"],
        TRAIN,
    );
    assert!(out(&found).starts_with("a.py:12:9: warning[OOM101]"), "{}", out(&found));
    let fixed = check_input(&folder, &["-", "--fix", "--unsafe-fixes"], TRAIN);
    assert_eq!(out(&fixed), TRAIN.replace("+= loss", "+= loss.detach()"));
    assert!(err(&fixed).contains("Fixed 1 finding."), "{}", err(&fixed));
}

#[test]
fn notebooks_name_cells_and_keep_everything_else() {
    let source: Vec<String> =
        TRAIN.split_inclusive('\n').map(|line| serde_json::json!(line).to_string()).collect();
    let notebook = format!(
        "{{\n \"cells\": [\n  {{\"cell_type\": \"markdown\", \"metadata\": {{}}, \"source\": [\"# t\"]}},\n  \
         {{\"cell_type\": \"code\", \"metadata\": {{}}, \"execution_count\": 1, \"outputs\": [{{\"output_type\": \
         \"stream\", \"name\": \"stdout\", \"text\": [\"kept\"]}}],\n   \"source\": [\n    {}\n   ]}}\n ],\n \
         \"metadata\": {{}}, \"nbformat\": 4, \"nbformat_minor\": 2\n}}",
        source.join(",\n    ")
    );
    let folder = folder(&[("n.ipynb", &notebook)]);
    let found = check(&folder, &["--format", "concise", "--quiet"]);
    assert!(out(&found).starts_with("n.ipynb:cell 2:12:9: "), "{}", out(&found));
    let fixed = check(&folder, &["--fix", "--unsafe-fixes"]);
    assert_eq!(code(&fixed), Some(0), "{}{}", out(&fixed), err(&fixed));
    let now = fs::read_to_string(folder.path().join("n.ipynb")).expect("it is there");
    assert_eq!(now, notebook.replace("+= loss\\n", "+= loss.detach()\\n"));
}

#[test]
fn settings_come_from_the_nearest_file() {
    let folder = folder(&[
        ("pyproject.toml", "[tool.oomscope.check]\nignore = ['OOM101']\n"),
        ("a.py", TRAIN),
        ("near/oomscope.toml", "[check.severity]\nloss-accumulation = 'error'\n"),
        ("near/b.py", TRAIN),
        ("near/tests/c.py", TRAIN),
        (
            "left/oomscope.toml",
            "[check]\nextend-exclude = ['gen*']\n[check.per-file-ignores]\n'sub/*' = ['graph-retention']\n",
        ),
        ("left/gen/d.py", TRAIN),
        ("left/sub/e.py", TRAIN),
        ("venv/f.py", TRAIN),
    ]);
    let found = check(&folder, &["--format", "concise", "--quiet"]);
    let places: Vec<String> = out(&found)
        .lines()
        .map(|line| line.split(" `").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(places, ["near/b.py:12:9: error[OOM101]", "near/tests/c.py:12:9: error[OOM101]"]);
    assert_eq!(code(&check(&folder, &["a.py", "--isolated"])), Some(1));
    assert_eq!(code(&check(&folder, &["venv/f.py", "--isolated"])), Some(1));
    assert_eq!(code(&check(&folder, &["a.py", "--config", "near/oomscope.toml"])), Some(1));
    let shown = out(&check(&folder, &["near", "--show-settings"]));
    assert!(shown.contains("loss-accumulation = \"error\""), "{shown}");
    write(folder.path(), "near/oomscope.toml", b"[check]\nslect = []\n");
    let wrong = check(&folder, &["."]);
    assert_eq!(code(&wrong), Some(2));
    assert!(
        err(&wrong).contains("line 2: unknown key `slect`; did you mean `select`?"),
        "{}",
        err(&wrong)
    );
}

#[test]
fn a_cached_run_says_the_same() {
    let vain = "x = 1  # oomscope: allow[OOM101]\n";
    let folder = folder(&[("train.py", TRAIN), ("vain.py", vain)]);
    let cache = folder.path().join("kept");
    let run = |more: &[&str]| {
        let mut arguments = vec!["check", "--cache-dir", "kept", "--format", "json"];
        arguments.extend(more);
        out(&oomscope_in(folder.path(), &arguments, ""))
    };
    let first = run(&[]);
    assert!(cache.join("CACHEDIR.TAG").is_file() && cache.join(".gitignore").is_file());
    assert_eq!(run(&[]), first);
    // Settings are applied to what is kept.
    assert!(!run(&["--ignore", "OOM101"]).contains("\"id\": \"OOM101\""));
    for entry in fs::read_dir(&cache).expect("a folder").flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "json") {
            let text = fs::read_to_string(entry.path()).expect("text");
            for damaged in [
                text.replace("OOM101", "OOM777"),
                text.replace("\"fix\":[1,", "\"fix\":[9,"),
                "{".to_owned(),
            ] {
                fs::write(entry.path(), damaged).expect("written");
                assert_eq!(run(&[]), first, "a damaged entry is passed over");
            }
        }
    }
    write(folder.path(), "train.py", b"x = 1\n");
    assert!(!run(&[]).contains("OOM101\""));
}

#[test]
fn hostile_files_never_panic() {
    let folder = folder(&[]);
    let cases: [(&str, &[u8]); 9] = [
        ("nul.py", b"x = 1\0\n"),
        ("latin.py", b"x = '\xe9'\n"),
        ("utf16.py", b"\xff\xfex\0"),
        ("two.py", b"print 'hello'\nexec 'x'\n"),
        ("cr.py", b"x = 1\ry = (\r"),
        ("gbk.py", b"# coding: gbk\nx = '\xc4\xe3'\n"),
        ("bad.ipynb", b"{\"cells\": 1}"),
        ("allow.py", b"# oomscope: allow[\n# oomscope:\n#oomscope: allow[]\nx = ( # oomscope: allow[OOM101"),
        ("deep.py", b"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("),
    ];
    for (name, bytes) in cases {
        write(folder.path(), name, bytes);
        for arguments in [&[name][..], &[name, "--fix", "--unsafe-fixes"], &[name, "--add-allow"]] {
            let output = check(&folder, arguments);
            assert!(matches!(code(&output), Some(0..=2)), "{name}: {:?}", output.status);
            assert!(!err(&output).contains("panicked"), "{name}: {}", err(&output));
            assert_ne!(err(&output), "", "{name}");
            assert_eq!(fs::read(folder.path().join(name)).expect("it is there"), bytes);
        }
    }
    assert_eq!(code(&check(&folder, &["utf16.py"])), Some(2));
}

#[cfg(unix)]
#[test]
fn names_of_files_never_drive_the_terminal() {
    let name = "a\nerror: forged\x1b[2J.py";
    let folder = folder(&[(name, TRAIN), ("b\x1b[31m.py", "x = (\n")]);
    for format in ["text", "concise", "json", "github", "junit", "markdown"] {
        let output = check(&folder, &["--format", format]);
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{format}");
        assert!(!out(&output).lines().any(|line| line.starts_with("error: forged")), "{format}");
    }
}

#[test]
fn what_is_allowed_in_bulk_is_quiet_afterwards() {
    let folder = folder(&[("train.py", TRAIN)]);
    let added = check(&folder, &["--add-allow"]);
    assert_eq!(err(&added), "allowed 1 finding in 1 file\n");
    assert_eq!(code(&check(&folder, &[])), Some(0));
    let text = fs::read_to_string(folder.path().join("train.py")).expect("it is there");
    assert_eq!(text, TRAIN.replace("+= loss\n", "+= loss  # oomscope: allow[loss-accumulation]\n"));
}

#[test]
fn rules_and_groups_are_listed_and_explained() {
    let table = out(&common::oomscope(&["rules", "--group", "tool"]));
    assert!(table.starts_with("tool\n  OOM001  unused-allow  warning  fix\n"), "{table}");
    let json = out(&common::oomscope(&["rules", "--format", "json"]));
    let rules: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(rules.as_array().is_some_and(|rules| rules.len() > 10));
    assert!(out(&common::oomscope(&["explain", "evaluation"])).contains("OOM301"));
    let unknown = common::oomscope(&["rules", "--group", "evalution"]);
    assert_eq!(
        err(&unknown),
        "error: no group is called `evalution`; did you mean `evaluation`?\n"
    );
}
