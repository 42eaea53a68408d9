//! Any text as source, as a notebook, and as two files that import each other: analysed without a
//! panic, every place inside the text, every fix one that can be applied and leaves no new syntax
//! error. See `README.md` for how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_source::{InputFile, apply, check};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let files = match kind % 3 {
        0 => vec![("case.py", text.as_ref())],
        1 => vec![("case.ipynb", text.as_ref())],
        _ => {
            let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            let (one, other) = text.split_at(middle);
            vec![("pkg/one.py", one), ("pkg/other.py", other)]
        }
    };
    let files = files
        .into_iter()
        .map(|(path, text)| InputFile { path: path.to_owned(), text: text.to_owned() });
    let checked = check(files.collect());
    for file in &checked.evidence.files {
        // A lone carriage return ends a line, too.
        let lines = file.text.split(['\n', '\r']).count();
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        let errors = apply::syntax_errors("case.py", &file.text);
        for finding in &file.findings {
            assert!((1..=lines).contains(&finding.place.line), "{finding:#?}");
            let Some(fix) = &finding.fix else { continue };
            let fixed = apply::apply(&file.text, &fix.edits).expect("a fix fits its text");
            if errors == 0 {
                let now = apply::syntax_errors("case.py", &fixed);
                assert_eq!(now, 0, "{finding:#?} breaks the text:\n{fixed}");
            }
        }
    }
});
