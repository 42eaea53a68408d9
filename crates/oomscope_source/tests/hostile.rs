//! Input that was made to break the reader.
#![allow(clippy::format_collect, reason = "brevity")]

use oomscope_source::{InputFile, analyse_with_problems};

fn read(path: &str, text: String) -> (usize, usize) {
    let (evidence, problems) =
        analyse_with_problems(vec![InputFile { path: path.to_owned(), text }]);
    (evidence.files.iter().map(|file| file.findings.len()).sum(), problems.len())
}

#[test]
fn nesting_up_to_the_limit_is_parsed_and_beyond_it_is_a_problem() {
    for depth in [10, 90, 500, 100_000] {
        for (open, close) in [("(", ")"), ("[", "]"), ("f(", ")"), ("{1:", "}")] {
            let text = format!("x = {}1{}\n", open.repeat(depth), close.repeat(depth));
            let (_, problems) = read("deep.py", text);
            assert_eq!(problems > 0, depth > 96, "{open} {depth}");
        }
        for (part, end) in [
            ("a + ", "a"),
            ("a.", "b"),
            ("not ", "a"),
            ("-", "a"),
            ("lambda: ", "a"),
            ("a if b else ", "c"),
            ("a ** ", "a"),
            ("a[0] + ", "b"),
            ("f\"{", "1"),
            ("await ", "x"),
            ("a()() + ", "b"),
            ("*", "x"),
            ("a and ", "b"),
            ("a < ", "b"),
            ("a := ", "b"),
        ] {
            read("deep.py", format!("x = {}{end}\n", part.repeat(depth)));
        }
        let blocks: String =
            (0..depth.min(2000)).map(|i| format!("{}while x:\n", " ".repeat(i))).collect();
        read("deep.py", format!("{blocks}{}pass\n", " ".repeat(depth.min(2000))));
        let classes: String =
            (0..depth.min(2000)).map(|i| format!("{}class A:\n", " ".repeat(i))).collect();
        read("deep.py", format!("{classes}{}pass\n", " ".repeat(depth.min(2000))));
        read("deep.py", format!("if a:\n pass\n{}", "elif b:\n pass\n".repeat(depth.min(5000))));
        read("deep.py", format!("x = ({}\n", "(yield ".repeat(depth)));
        read(
            "deep.py",
            format!("match x:\n case {}a{}:\n  pass\n", "[".repeat(depth), "]".repeat(depth)),
        );
    }
}

#[test]
fn broken_text_is_read_as_far_as_it_goes() {
    for text in [
        "",
        "\0",
        "def",
        "def f(:\n  x = ",
        "x = 'abc",
        "\"\"\"",
        "\u{feff}import torch\n",
        "\r\r\n\t x",
        "class",
        "import",
        "from . import (",
        "@",
        "with torch.no_grad(:",
        "é = λ\n",
        "for x in",
    ] {
        read("broken.py", text.to_owned());
        read("broken.ipynb", text.to_owned());
    }
    let half = "import torch\ndef f(model, loader, opt):\n    total = 0\n    for x in loader:\n        \
        loss = model(x).mean()\n        loss.backward()\n        opt.step()\n        opt.zero_grad()\n        \
        total += loss\n    return total\n\ndef broken(:\n";
    assert_eq!(read("half.py", half.to_owned()), (1, 1));
}

#[test]
fn a_notebook_is_its_code_cells() {
    let notebook = r##"{"cells": [
      {"cell_type": "markdown", "metadata": {}, "source": ["# title"]},
      {"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [],
       "source": ["%matplotlib inline\n", "!pip install torch\n", "import torch\n", "total = 0"]},
      {"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [],
       "source": ["for x, y in loader:\n", "    loss = criterion(model(x), y)\n", "    optimizer.zero_grad()\n", "    loss.backward()\n", "    optimizer.step()\n", "    total += loss"]}
      ], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}"##;
    assert_eq!(read("train.ipynb", notebook.to_owned()), (1, 0));
}

#[test]
fn cost_grows_with_length_not_with_its_square() {
    let function = "def f{n}(model, loader, opt):\n    total = 0\n    for x in loader:\n        if x:\n            \
        loss = model(x).mean()\n        loss.backward()\n        total += loss\n";
    let time = |count: usize| {
        let text: String = (0..count).map(|n| function.replace("{n}", &n.to_string())).collect();
        let statements: String = (0..count)
            .map(|n| {
                format!(
                    "if a:\n    v{n} = model(v{n})\nelse:\n    w{n} = []\n    w{n}.append(v{n})\n"
                )
            })
            .collect();
        read("long.py", format!("import torch\n{text}{statements}"));
    };
    // Quadratic work would take minutes here.
    time(4000);
}

#[test]
fn many_optimizers_in_one_loop_cost_no_square() {
    let steps: String = (0..4000)
        .map(|n| {
            format!(
                "        opt{n}.zero_grad()\n        loss{n} = model(x).mean()\n        \
                 loss{n}.backward()\n        opt{n}.step()\n"
            )
        })
        .collect();
    let text = format!("import torch\ndef f(model, loader):\n    for x in loader:\n{steps}");
    #[allow(clippy::disallowed_methods, reason = "the test measures time")]
    let started = std::time::Instant::now();
    read("many.py", text);
    // A tenth of a second; half a minute while every optimizer searched all calls.
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn a_fix_in_damaged_text_fits_it_or_is_left_out() {
    let text = String::from_utf8_lossy(include_bytes!("damaged/fix_does_not_fit.txt"));
    let file = InputFile { path: "case.py".to_owned(), text: text.to_string() };
    for file in &oomscope_source::check(vec![file]).evidence.files {
        for fix in file.findings.iter().filter_map(|finding| finding.fix.as_ref()) {
            assert!(oomscope_source::apply::apply(&text, &fix.edits).is_some(), "{fix:?}");
        }
    }
}
