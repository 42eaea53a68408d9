//! Inputs: opened, decompressed, recognised by content. Reads; never judges.

mod bytes;
mod discover;
mod recognise;
mod walk;

use std::path::Path;

use oomscope_model::Problem;

pub(crate) use bytes::{Content, decompressed, open, standard_input};
pub(crate) use discover::discover;
pub(crate) use recognise::{Kind, looks_like_a_path};

/// An input that was read: what it is and what it holds.
pub(crate) struct Input {
    /// As the user named it.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// What it holds.
    pub(crate) content: Content,
}

/// Everything that the arguments name, and what could not be read.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) inputs: Vec<Input>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads every argument: a path, `-`, or the message itself.
pub(crate) fn gather(arguments: &[String]) -> Gathered {
    let mut gathered = Gathered::default();
    for argument in arguments {
        if argument == "-" {
            match bytes::standard_input() {
                Ok(content) => gathered.add("<stdin>".to_owned(), content),
                Err(error) => gathered.problems.push(cannot_read("<stdin>", &error)),
            }
            continue;
        }
        let path = Path::new(argument);
        if path.is_dir() {
            let before = (gathered.inputs.len(), gathered.problems.len());
            walk::directory(path, &mut gathered);
            if before == (gathered.inputs.len(), gathered.problems.len()) {
                gathered.problems.push(Problem {
                    input: argument.clone(),
                    at: None,
                    what: "no log with a failure, no snapshot and no Python source in it"
                        .to_owned(),
                    hint: Some("name the file itself to have it read all the same".to_owned()),
                });
            }
        } else if path.exists() {
            gathered.add_file(argument, path);
        } else if looks_like_a_path(argument) {
            gathered.problems.push(Problem {
                input: argument.clone(),
                at: None,
                what: "no such file or directory".to_owned(),
                hint: Some("quote the whole message to have it read as text".to_owned()),
            });
        } else {
            gathered.inputs.push(Input {
                name: "message".to_owned(),
                kind: Kind::Log,
                content: Content::Owned(argument.clone().into_bytes()),
            });
        }
    }
    gathered
}

impl Gathered {
    fn add_file(&mut self, name: &str, path: &Path) {
        match bytes::open(path) {
            Ok(content) => self.add(name.to_owned(), content),
            Err(error) => self.problems.push(cannot_read(name, &error)),
        }
    }

    fn add(&mut self, name: String, content: Content) {
        let content = match bytes::decompressed(content) {
            Ok(content) => content,
            Err(error) => {
                self.problems.push(cannot_read(&name, &error));
                return;
            }
        };
        match recognise::kind(&name, &content) {
            Ok(kind) => self.inputs.push(Input { name, kind, content }),
            Err(what) => {
                let hint = "give a log, a snapshot (pickle, JSON, HTML) or Python source";
                let hint = (!content.is_empty()).then(|| hint.to_owned());
                self.problems.push(Problem { input: name, at: None, what, hint });
            }
        }
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> Problem {
    Problem { input: name.to_owned(), at: None, what: format!("cannot read: {error}"), hint: None }
}
