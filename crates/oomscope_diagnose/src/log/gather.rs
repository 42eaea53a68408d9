//! One pass over the trigger words: every place that may be a failure becomes a candidate, every
//! telling phrase is kept with its line. What belongs together is decided later, in `merge`.

use std::collections::HashSet;
use std::hash::BuildHasher;

use oomscope_model::{Failure, Phase, Signal};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::block;
use super::clean::{clean, unescape};
use super::figures::{Recognised, patterns, recognise};
use super::lines::{Span, feeds, line_after, line_at, line_before};
use super::phase;
use super::prefix::{Stripped, strip};
use super::signals;
use super::traceback::{self, CodeFrame, Traceback};
use super::trigger;

patterns! {
    ADVICE = r"(?i)memory mapping failed with OOM|will cause OOM|may (?:lead to|cause|result in) (?:an? )?(?:OOM|out of memory)|to (?:avoid|prevent|reduce).{0,40}(?:OOM|out of memory)|^\s*(?:Please )?(?:check whether|make sure|try |consider |set |use )|OOM[ _-]?(?:observer|score)|ooms? \d|hint:|out.of.memory (?:by|handler) default";
    CHAIN = r"(?i)During handling of the above exception|direct cause of the following exception|The above exception was|terminated with the following error|Original Traceback";
    CLASS = r"\b((?:[A-Za-z_]\w*\.)*[A-Za-z_]*(?:Error|OutOfResources))\b:?";
    RANK_WORDS = r"(?i)\b(?:local_)?rank\s*[:=]?\s*(\d{1,6})\b";
    BARE_OOM = r"(?i)(?:^\W*|[:\]]\s*)OOM[!: ]|\bOOM (?:after|while|during|at|in|on|error|occurred|encountered|detected|caught)\b|ran out of memory|\bout of memory\b.{0,60}(?:retry|skip|batch)|\bGPU out of memory\b|not enough (?:GPU |CUDA |video |device )memory";
    ROOT_RANK = r"(?i)^\s*rank\s*:\s*(\d{1,6})";
}

/// Something that may be a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) failure: Failure,
    /// Source lines beside the frames, outermost first; the line above a message without frames.
    pub(crate) codes: Vec<String>,
    /// Bytes of the text that it covers.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How it was printed.
    pub(crate) form: Form,
}

/// How a failure was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By a traceback.
    Traceback,
    /// By a traceback that follows from the one before it.
    ChainedTraceback,
    /// As an exception line or a library's own message.
    Message,
    /// In the program's own words.
    Note,
    /// By whoever watched the process die.
    Death,
}

/// What one pass found.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) phrases: Vec<Signal>,
    /// How often a line with trigger words was met, by its hash.
    sightings: FxHashMap<u64, u8>,
    /// The rank that torchrun's summary names as the first to fail.
    pub(crate) root_rank: Option<u32>,
}

/// More candidates than this are not kept: a loop that catches errors prints them without end.
const MOST_CANDIDATES: usize = 512;
/// A loop that catches an error prints the same line without end: from here on it tells nothing.
const MOST_SIGHTINGS: u8 = 16;
const MOST_KNOWN_LINES: usize = 1 << 16;
/// Nor more phrases.
const MOST_PHRASES: usize = 4096;
/// An escaped text (JSON, Python `repr`) is opened this deep.
const MOST_NESTING: usize = 2;

/// Reads all candidates of `text`.
pub(crate) fn gather(text: &str) -> Gathered {
    let mut gathered = Gathered::default();
    scan(text, Place { base: 1, is_fixed: false, depth: 0 }, &mut gathered);
    gathered
}

/// Where a text lies in the file.
#[derive(Clone, Copy)]
struct Place {
    base: usize,
    /// All its lines lie on one line of the file.
    is_fixed: bool,
    depth: usize,
}

fn scan(text: &str, place: Place, gathered: &mut Gathered) {
    let mut taken: HashSet<usize> = HashSet::new();
    let (mut number, mut counted, mut resume) = (place.base, 0, 0);
    for trigger in trigger::ranges(text) {
        let offset = trigger.start;
        if offset < resume {
            continue;
        }
        if gathered.candidates.len() > MOST_CANDIDATES {
            // The first failures and the last ones tell most.
            gathered.candidates.remove(MOST_CANDIDATES / 2);
        }
        gathered.phrases.truncate(MOST_PHRASES);
        let span = line_at(text, offset, resume);
        resume = span.end.max(offset.saturating_add(1));
        number += if place.is_fixed { 0 } else { feeds(text, counted, span.start) };
        counted = span.start;
        if taken.contains(&span.start) {
            continue;
        }
        let line = clean(span.of(text));
        if place.depth < MOST_NESTING && is_escaped(&line) {
            let inner = Place { base: number, is_fixed: true, depth: place.depth + 1 };
            scan(&unescape(&line), inner, gathered);
            continue;
        }
        let stripped = strip(&line);
        let at = At { span, number, is_fixed: place.is_fixed, until: trigger.end };
        if traceback::is_header(stripped.text) {
            read_traceback(text, &at, &mut taken, gathered);
        } else if !gathered.is_worn_out(&stripped) {
            read_message(text, &at, &stripped, &mut taken, gathered);
        }
    }
}

impl Gathered {
    fn is_worn_out(&mut self, stripped: &Stripped<'_>) -> bool {
        let key = FxBuildHasher.hash_one((stripped.text, stripped.rank));
        if self.sightings.len() >= MOST_KNOWN_LINES && !self.sightings.contains_key(&key) {
            return false;
        }
        let sightings = self.sightings.entry(key).or_default();
        *sightings = sightings.saturating_add(1);
        *sightings > MOST_SIGHTINGS
    }
}

struct At {
    span: Span,
    number: usize,
    is_fixed: bool,
    /// Where the trigger words end, which may be lines below.
    until: usize,
}

fn is_escaped(line: &str) -> bool {
    line.contains("\\n") && !line.contains("print(") && !line.contains("= f\"")
}

fn read_traceback(text: &str, at: &At, taken: &mut HashSet<usize>, gathered: &mut Gathered) {
    let mut lines = Vec::new();
    let Some(found) = traceback::read(text, at.span, &mut lines) else { return };
    taken.extend(lines);
    let number =
        at.number + if at.is_fixed { 0 } else { feeds(text, at.span.start, found.span.start) };
    let whole = format!("{}: {}", found.exception, found.message);
    gathered.phrases.extend(signals::phrases(&whole, number));
    note_root_rank(text, found.last, gathered);
    let recognised = recognise(&whole);
    let form = if is_chained(text, at.span) { Form::ChainedTraceback } else { Form::Traceback };
    let Traceback { frames, exception, message, rank, last, .. } = found;
    gathered.candidates.push(candidate(Parts {
        number,
        rank: rank.or_else(|| rank_in(&message)),
        exception,
        message,
        recognised,
        frames,
        start: at.span.start,
        end: last.end,
        form,
    }));
}

fn is_chained(text: &str, header: Span) -> bool {
    if CHAIN.is_match(header.of(text)) {
        return true;
    }
    let mut at = header;
    for _ in 0..4 {
        let Some(before) = line_before(text, at) else { return false };
        at = before;
        if CHAIN.is_match(before.of(text)) {
            return true;
        }
    }
    false
}

fn read_message(
    text: &str,
    at: &At,
    stripped: &Stripped<'_>,
    taken: &mut HashSet<usize>,
    gathered: &mut Gathered,
) {
    let words = stripped.text.trim();
    if words.contains("Root Cause (first observed") {
        note_root_rank(text, at.span, gathered);
        return;
    }
    let whole = with_line_above(text, at.span, words);
    let is_note = BARE_OOM.is_match(words);
    let joined = if is_note && recognise(&whole).is_none() {
        block::Block { message: block::collapse(&whole), last: at.span }
    } else {
        block::join(text, at.span, &whole, stripped.source, at.until)
    };
    let message = joined.message;
    gathered.phrases.extend(signals::phrases(&message, at.number));
    if ADVICE.is_match(words) {
        return;
    }
    let recognised = recognise(&message);
    if recognised.is_none() && !is_note {
        return;
    }
    let mut lines = Vec::new();
    traceback::taken_lines(text, at.span, joined.last, &mut lines);
    taken.extend(lines);
    let (lead, exception, message) = split_class(&message);
    let is_death = recognised
        .as_ref()
        .is_some_and(|found| matches!(found.word, "Killed" | "SIGKILL" | "oom_kill"));
    let form = match (&recognised, exception.is_empty()) {
        _ if is_death => Form::Death,
        (None, _) => Form::Note,
        (Some(_), false) if lead.is_empty() => Form::Message,
        (Some(_), _) if is_lead_in(&message) => Form::Note,
        (Some(_), _) => Form::Message,
    };
    let mut frames = traceback::frames_above(text, at.span);
    if frames.is_empty() {
        frames = frames_below(text, joined.last);
    }
    gathered.candidates.push(candidate(Parts {
        number: at.number,
        rank: stripped.rank.or_else(|| rank_in(&message)),
        exception,
        message,
        recognised,
        frames,
        start: at.span.start,
        end: joined.last.end,
        form,
    }));
    if let Some(last) = gathered.candidates.last_mut()
        && last.codes.is_empty()
    {
        last.codes.extend(code_above(text, at.span));
    }
}

/// A message that was wrapped before its telling words: `CUDA out of` / `memory. Tried …`.
fn with_line_above(text: &str, span: Span, words: &str) -> String {
    let first = words.split(' ').next().unwrap_or("");
    let starts_inside =
        first.starts_with(|c: char| c.is_lowercase()) && !first.contains(['/', ':', '_']);
    if starts_inside && let Some(before) = line_before(text, span) {
        let line = clean(before.of(text));
        let above = strip(&line).text.trim();
        if [
            "CUDA",
            "HIP",
            "XPU",
            "Error",
            "out of",
            "worker",
            "memory",
            "KV cache",
            "model length",
            "tokens",
            "max seq len",
        ]
        .iter()
        .any(|word| above.contains(word))
        {
            return format!("{above} {words}");
        }
    }
    words.to_owned()
}

/// A pasted summary may name the place after the message.
fn frames_below(text: &str, last: Span) -> Vec<CodeFrame> {
    const MOST_LINES: usize = 200;
    const MOST_OTHER: usize = 3;
    let mut frames: Vec<CodeFrame> = Vec::new();
    let mut at = last;
    let mut others = 0;
    for _ in 0..MOST_LINES {
        let Some(next) = line_after(text, at) else { break };
        at = next;
        let line = clean(next.of(text));
        let words = strip(&line).text.trim_end();
        if traceback::is_header(words) || others >= MOST_OTHER {
            break;
        }
        if let Some(frame) = traceback::frame_of(words) {
            frames.push(CodeFrame { frame, code: String::new() });
            others = 0;
        } else {
            others += 1;
            if let Some(last) = frames.last_mut()
                && last.code.is_empty()
            {
                last.code = words.trim().chars().take(400).collect();
            }
        }
    }
    frames
}

fn code_above(text: &str, span: Span) -> Option<String> {
    let mut at = span;
    for _ in 0..3 {
        let before = line_before(text, at)?;
        at = before;
        let line = clean(before.of(text));
        let words = strip(&line).text.trim().to_owned();
        if !words.is_empty() && !words.chars().all(|c| matches!(c, '^' | '~' | ' ')) {
            return Some(words.chars().take(400).collect());
        }
    }
    None
}

/// `lead: Type: message` to its parts.
fn split_class(message: &str) -> (String, String, String) {
    if let Some((class, rest)) = traceback::exception_of(message) {
        return (String::new(), class.to_owned(), rest.to_owned());
    }
    if let Some(found) = CLASS.captures(message)
        && let (Some(whole), Some(class)) = (found.get(0), found.get(1))
        && whole.as_str().ends_with(':')
    {
        let (lead, rest) = (message.get(..whole.start()), message.get(whole.end()..));
        return (
            lead.unwrap_or("").trim().to_owned(),
            class.as_str().to_owned(),
            rest.unwrap_or("").trim().to_owned(),
        );
    }
    (String::new(), String::new(), message.to_owned())
}

fn is_lead_in(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    [
        "retry",
        "skip",
        "; trying",
        "trying again",
        "trying with",
        "fall back",
        "falling back",
        "reducing",
        "does not fit",
        "error processing",
        "generation error",
        "caught",
        "first error",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

fn rank_in(message: &str) -> Option<u32> {
    RANK_WORDS.captures(message)?.get(1)?.as_str().parse().ok()
}

fn note_root_rank(text: &str, from: Span, gathered: &mut Gathered) {
    let mut at = from;
    let mut is_root = from.of(text).contains("Root Cause");
    for _ in 0..24 {
        let Some(next) = line_after(text, at) else { return };
        at = next;
        let line = clean(next.of(text));
        let words = strip(&line).text.trim();
        is_root |= words.contains("Root Cause (first observed");
        if is_root && let Some(found) = ROOT_RANK.captures(words) {
            gathered.root_rank = found.get(1).and_then(|rank| rank.as_str().parse().ok());
            return;
        }
    }
}

struct Parts {
    number: usize,
    rank: Option<u32>,
    exception: String,
    message: String,
    recognised: Option<Recognised>,
    frames: Vec<CodeFrame>,
    start: usize,
    end: usize,
    form: Form,
}

/// Stands for an exception that the text does not name.
pub(crate) const UNNAMED: &str = "out of memory";
/// Messages are kept up to this many characters.
const LONGEST_MESSAGE: usize = 4000;

fn candidate(parts: Parts) -> Candidate {
    let word = parts.recognised.as_ref().map_or(UNNAMED, |found| found.word);
    let exception = if parts.exception.is_empty() { word.to_owned() } else { parts.exception };
    let is_note = parts.recognised.is_none() && parts.form == Form::Note;
    let memory = match parts.recognised {
        Some(found) => Some(found.memory),
        None if is_note => Some(oomscope_model::MemoryError::new(None)),
        None => None,
    };
    let (frames, codes): (Vec<_>, Vec<_>) =
        parts.frames.into_iter().map(|found| (found.frame, found.code)).unzip();
    let stated = phase::phase_of_message(&parts.message);
    let phase = match (stated, phase::phase_with_code(&frames, &codes)) {
        (Phase::ServerStart, _) | (_, Phase::Unknown) => stated,
        (_, found) => found,
    };
    Candidate {
        failure: Failure {
            line: parts.number,
            rank: parts.rank,
            exception,
            message: parts.message.chars().take(LONGEST_MESSAGE).collect(),
            memory,
            traceback: frames,
            phase,
            caught: parts.form == Form::Note,
            follows_another: false,
        },
        codes,
        start: parts.start,
        end: parts.end,
        form: parts.form,
    }
}
