//! What an earlier run found in the same files. The analysis follows calls across all files, so an
//! entry is the whole run: its key is the hash of the program and of every file's name and bytes.
//! Settings and comments are applied later and are no part of it. What is damaged or foreign is
//! passed over, what an entry says of a file is held against that file, and a cache that cannot be
//! written is no error.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oomscope_model::{Edit, Finding, Fix, FixSafety, Held, PathStep, Place, Problem, Severity};
use oomscope_source::allow::{Allow, AllowedName, Covers};
use serde::{Deserialize, Serialize};

use super::analyse::{Analysis, Raw};
use super::source::{Source, hash};

/// More entries are not kept; the oldest go.
const MOST_ENTRIES: usize = 24;
/// All entries together.
const MOST_BYTES: u64 = 64 << 20;
/// One entry.
const LARGEST_ENTRY: u64 = 16 << 20;

/// The files of a cache directory.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a directory, which is made when something is stored.
    pub(crate) fn in_folder(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// What is known of these files.
    pub(crate) fn load(&self, key: u128, sources: &[Source]) -> Option<Analysis> {
        let path = self.entry(key);
        if fs::metadata(&path).ok()?.len() > LARGEST_ENTRY {
            return None;
        }
        let stored: Stored = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if stored.files.len() != sources.len() {
            return None;
        }
        let files: Option<Vec<Raw>> =
            stored.files.into_iter().zip(sources).map(|(file, source)| raw(file, source)).collect();
        let problems = stored.problems.into_iter().map(|one| Problem {
            input: one.input,
            at: one.at,
            what: one.what,
            hint: one.hint,
        });
        Some(Analysis { files: files?, problems: problems.collect() })
    }

    /// Keeps what was found.
    pub(crate) fn store(&self, key: u128, analysis: &Analysis) {
        let Ok(bytes) = serde_json::to_vec(&stored(analysis)) else { return };
        if bytes.len() as u64 <= LARGEST_ENTRY {
            let _ = self.write(key, &bytes);
        }
    }

    fn entry(&self, key: u128) -> PathBuf {
        self.folder.join(format!("{key:032x}.json"))
    }

    fn write(&self, key: u128, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for (name, text) in [
            (".gitignore", "# Written by oomscope.\n*\n"),
            (
                "CACHEDIR.TAG",
                "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of oomscope.\n",
            ),
        ] {
            let path = self.folder.join(name);
            if !path.exists() {
                fs::write(path, text)?;
            }
        }
        // A rename makes the entry appear whole.
        let draft = self.folder.join(format!("{key:032x}.{}.tmp", std::process::id()));
        let written = (|| {
            fs::File::create(&draft)?.write_all(bytes)?;
            fs::rename(&draft, self.entry(key))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        self.forget_the_oldest();
        written
    }

    fn forget_the_oldest(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut known: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let path = entry.path();
                if !is_ours(&path) {
                    return None;
                }
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), path))
            })
            .collect();
        known.sort_unstable_by(|one, other| other.cmp(one));
        let mut bytes = 0;
        for (index, (_, size, path)) in known.into_iter().enumerate() {
            bytes += size;
            if index >= MOST_ENTRIES || bytes > MOST_BYTES {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The key of these files.
pub(crate) fn key(sources: &[Source]) -> u128 {
    let mut text = program();
    for source in sources {
        let _ = write!(text, "\0{}\0{:032x}", source.name, source.hash);
    }
    hash(text.as_bytes())
}

/// Whether a file of the folder is an entry or a draft that was left behind.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (key, ending) = name.split_once('.').unwrap_or((&name, ""));
    key.len() == 32
        && key.bytes().all(|byte| byte.is_ascii_hexdigit())
        && matches!(ending.rsplit('.').next(), Some("json" | "tmp"))
}

/// The version, and for those who build it themselves the very program.
fn program() -> String {
    let file = std::env::current_exe().and_then(fs::metadata).ok();
    let made = file.as_ref().and_then(|file| file.modified().ok());
    let size = file.map(|file| file.len());
    format!("oomscope {} {size:?} {made:?}", env!("CARGO_PKG_VERSION"))
}

#[derive(Serialize, Deserialize)]
struct Stored {
    files: Vec<StoredFile>,
    problems: Vec<StoredProblem>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    findings: Vec<StoredFinding>,
    allows: Vec<StoredAllow>,
}

#[derive(Serialize, Deserialize)]
struct StoredProblem {
    input: String,
    at: Option<String>,
    what: String,
    hint: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredFinding {
    rule: String,
    severity: u8,
    held: u8,
    line: u32,
    column: u32,
    end: (u32, u32),
    function: Option<String>,
    message: String,
    path: Vec<(String, u32, Option<String>, String)>,
    function_lines: (u32, u32),
    fix: Option<StoredFix>,
}

/// Safety, title, and edits: first byte, one past the last, new text.
type StoredFix = (u8, String, Vec<(usize, usize, String)>);

#[derive(Serialize, Deserialize)]
struct StoredAllow {
    start: usize,
    end: usize,
    line: u32,
    column: u32,
    names: Vec<(String, usize, usize)>,
    /// The lines; both 0 for the file, nothing for a comment that is not known.
    covers: Option<(u32, u32)>,
}

const SEVERITIES: [Severity; 3] = [Severity::Note, Severity::Warning, Severity::Error];
const SAFETIES: [FixSafety; 3] = [FixSafety::Safe, FixSafety::Unsafe, FixSafety::Suggest];
const HELD: [Held; 5] =
    [Held::Activations, Held::Nodes, Held::Tensors, Held::Parameters, Held::Nothing];

fn number<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let index = all.iter().position(|known| known == one).unwrap_or(0);
    u8::try_from(index).unwrap_or(0)
}

fn stored(analysis: &Analysis) -> Stored {
    let finding = |finding: &Finding| StoredFinding {
        rule: finding.rule.to_owned(),
        severity: number(&SEVERITIES, &finding.severity),
        held: number(&HELD, &finding.held),
        line: finding.place.line,
        column: finding.column,
        end: finding.end,
        function: finding.place.function.clone(),
        message: finding.message.clone(),
        path: finding
            .path
            .iter()
            .map(|step| {
                let place = step.place.clone();
                (place.file, place.line, place.function, step.what.clone())
            })
            .collect(),
        function_lines: finding.function_lines,
        fix: finding.fix.as_ref().map(|fix| {
            let edits = fix.edits.iter().map(|one| (one.start, one.end, one.text.clone()));
            (number(&SAFETIES, &fix.safety), fix.title.clone(), edits.collect())
        }),
    };
    let allow = |allow: &Allow| StoredAllow {
        start: allow.start,
        end: allow.end,
        line: allow.line,
        column: allow.column,
        names: allow.names.iter().map(|n| (n.text.clone(), n.start, n.end)).collect(),
        covers: match allow.covers {
            Covers::File => Some((0, 0)),
            Covers::Lines(first, last) => Some((first, last)),
            Covers::Malformed => None,
        },
    };
    Stored {
        files: analysis
            .files
            .iter()
            .map(|file| StoredFile {
                findings: file.findings.iter().map(finding).collect(),
                allows: file.allows.iter().map(allow).collect(),
            })
            .collect(),
        problems: analysis
            .problems
            .iter()
            .cloned()
            .map(|one| StoredProblem {
                input: one.input,
                at: one.at,
                what: one.what,
                hint: one.hint,
            })
            .collect(),
    }
}

/// What is stored of a file; `None` where it cannot be of this file.
fn raw(stored: StoredFile, source: &Source) -> Option<Raw> {
    let joined = source.json.as_deref().map(|json| {
        let is_used = !(stored.findings.is_empty() && stored.allows.is_empty());
        if is_used {
            oomscope_source::notebook::code(json).unwrap_or_default()
        } else {
            String::new()
        }
    });
    let text = joined.as_deref().unwrap_or(&source.code);
    let findings: Option<Vec<Finding>> =
        stored.findings.into_iter().map(|one| finding(one, source, text)).collect();
    let allows: Option<Vec<Allow>> = stored
        .allows
        .into_iter()
        .map(|one| {
            text.get(one.start..one.end)?;
            let names: Option<Vec<AllowedName>> = one
                .names
                .into_iter()
                .map(|(name, start, end)| {
                    (text.get(start..end)? == name).then_some(AllowedName {
                        text: name,
                        start,
                        end,
                    })
                })
                .collect();
            Some(Allow {
                start: one.start,
                end: one.end,
                line: one.line,
                column: one.column,
                names: names?,
                covers: match one.covers {
                    None => Covers::Malformed,
                    Some((0, 0)) => Covers::File,
                    Some((first, last)) => Covers::Lines(first, last),
                },
            })
        })
        .collect();
    Some(Raw { findings: findings?, allows: allows? })
}

fn finding(stored: StoredFinding, source: &Source, text: &str) -> Option<Finding> {
    let rule = oomscope_source::rule(&stored.rule)?;
    let fix = match stored.fix {
        None => None,
        Some((safety, title, edits)) => {
            let edits = edits.into_iter().map(|(start, end, text)| Edit { start, end, text });
            let edits: Vec<Edit> = edits.collect();
            oomscope_source::apply::apply(text, &edits)?;
            Some(Fix { safety: *SAFETIES.get(usize::from(safety))?, title, edits })
        }
    };
    Some(Finding {
        rule: rule.id,
        name: rule.name,
        cause: rule.cause,
        severity: *SEVERITIES.get(usize::from(stored.severity))?,
        held: *HELD.get(usize::from(stored.held))?,
        place: Place { file: source.name.clone(), line: stored.line, function: stored.function },
        column: stored.column,
        end: stored.end,
        message: stored.message,
        path: stored
            .path
            .into_iter()
            .map(|(file, line, function, what)| PathStep {
                place: Place { file, line, function },
                what,
            })
            .collect(),
        function_lines: stored.function_lines,
        fix,
    })
}
