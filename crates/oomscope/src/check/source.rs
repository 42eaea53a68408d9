//! Files as they were read: code, encoding, hash.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oomscope_model::Problem;
use oomscope_source::notebook;
use twox_hash::XxHash3_128;

use super::decode::{Encoding, decode};
use super::paths::Wanted;
use super::settings::Settings;

/// Larger files are not read: the parser counts in 32 bits.
const LARGEST: u64 = 256 << 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As findings name it.
    pub(crate) name: String,
    /// Where it is; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) encoding: Encoding,
    /// The code; of a notebook the cells, joined.
    pub(crate) code: String,
    /// Of a notebook: its JSON.
    pub(crate) json: Option<String>,
    /// Of the bytes that were read.
    pub(crate) hash: u128,
}

/// What was read and what could not be.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) sources: Vec<Source>,
    pub(crate) problems: Vec<Problem>,
}

/// The hash by which a file is known again.
pub(crate) fn hash(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

/// Reads the files, some at a time.
pub(crate) fn read(wanted: Vec<Wanted>) -> Readings {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let share = wanted.len().div_ceil(workers).max(16);
    let mut parts: Vec<Vec<Wanted>> = Vec::new();
    let mut rest = wanted;
    while rest.len() > share {
        let tail = rest.split_off(share);
        parts.push(std::mem::replace(&mut rest, tail));
    }
    parts.push(rest);
    let mut all = Readings::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(|| read_part(part))).collect();
        for part in threads.into_iter().filter_map(|thread| thread.join().ok()) {
            all.sources.extend(part.sources);
            all.problems.extend(part.problems);
        }
    });
    all
}

fn read_part(wanted: Vec<Wanted>) -> Readings {
    let mut part = Readings::default();
    for wanted in wanted {
        let bytes = match &wanted.path {
            Some(path) => read_file(path),
            None => read_limited(std::io::stdin().lock()),
        };
        match bytes {
            Ok(bytes) => add(wanted, bytes, &mut part),
            Err(error) => {
                let what = format!("cannot read: {error}");
                part.problems.push(problem(&wanted.name, None, what));
            }
        }
    }
    part
}

fn add(wanted: Wanted, bytes: Vec<u8>, part: &mut Readings) {
    let Wanted { name, path, settings } = wanted;
    let hash = hash(&bytes);
    let decoded = decode(bytes);
    if let Some((line, what)) = decoded.problem {
        part.problems.push(problem(&name, line, what));
        if decoded.text.is_empty() {
            return;
        }
    }
    let is_notebook = notebook::is_notebook(&name);
    let (code, json) =
        if is_notebook { (String::new(), Some(decoded.text)) } else { (decoded.text, None) };
    let encoding = decoded.encoding;
    part.sources.push(Source { name, path, settings, encoding, code, json, hash });
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    read_limited(std::fs::File::open(path)?)
}

fn read_limited(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("larger than 256 MiB"));
    }
    Ok(bytes)
}

/// A problem with a file.
pub(crate) fn problem(name: &str, line: Option<u32>, what: String) -> Problem {
    let at = line.map(|line| format!("line {line}"));
    Problem { input: name.to_owned(), at, what, hint: None }
}
