//! A message that was wrapped, indented or printed over several lines, to one line of words.

use super::aftermath;
use super::clean::clean;
use super::figures::patterns;
use super::lines::{Span, line_after};
use super::prefix::strip;

patterns! {
    // Words that only the middle of a memory message has: a line with one belongs to the message.
    INSIDE = r"(?i){S}|\bcapac|allocated|reserved|PyTorch|unallocated|fragmentation|expandable_segments|documentation|memory in use|Management|^\s*(?:memory|GPU \d|Process \d|Including|Of the|Tried|If reserved|with |and |increasing|root cause|cudaMalloc|allocate|Memory on the node|Currently|Requested|Device limit|Free|out of resource)|^\s*:|gpu_memory_utilization|https?://|usage threshold|ALLOC_FAILED|CUDA failed|is killed by|Engine core proc|^current device:|in function \w+ at |^cu\w+\(|Cannot allocate|Hardware limit";
    HEAD = r"(?i)(?:CUDA|HIP|XPU) out of memory|MPS backend out of|would exceed allowed memory|Error\b.{0,20}:|Traceback \(most|NCCL (?:WARN|error)|RESOURCE_EXHAUSTED|ggml_\w+:|OOM when|terminate called|During handling of|direct cause of|Possible solutions|^\s*\d+[.)] ";
    FRAME = r#"^\s*(?:File "|frame #\d|at |~*\^+~*\s*$|[\^~ ]+$|-{3,}|={3,}|\*{3,}|#\d+ )|\bline \d+, in \b"#;
    TRIED = r"(?i)Tried to allocate";
    // A line that breaks off inside a sentence of the allocator.
    OPEN = r#"(?i)\b(?:CUDA|HIP|XPU) out(?: of)?$|out of memory\. Tried(?: to)?$|(?:Tried to allocate|total capac)[^\n]*[^.)!"'}\]:]$"#;
    HINT = r"(?i)documentation|fragmentation";
    COMPLETE = r"(?i)environment-variables\)|cuda-alloc-conf\)|and PYTORCH_CUDA_ALLOC_CONF\)?$|system failure\)\.|by_class\.$";
}

/// A message takes at most this many lines.
const MOST_LINES: usize = 24;

/// A message and where it ends.
pub(crate) struct Block {
    /// White space collapsed, prefixes removed.
    pub(crate) message: String,
    /// The last line that belongs to it.
    pub(crate) last: Span,
}

/// Joins `first` (already cleaned, at `span`) with the lines that continue it.
/// All lines up to `until` belong to it.
pub(crate) fn join(
    text: &str,
    span: Span,
    first: &str,
    source: Option<&str>,
    until: usize,
) -> Block {
    let mut message = collapse(first);
    let mut last = span;
    let mut at = span;
    let mut blank = false;
    for _ in 0..MOST_LINES {
        if COMPLETE.is_match(&message) {
            break;
        }
        let Some(next) = line_after(text, at) else { break };
        let width = at.end - at.start;
        at = next;
        let line = clean(next.of(text));
        let stripped = strip(&line);
        let words = stripped.text.trim();
        if words.is_empty() {
            if blank {
                break;
            }
            blank = true;
            continue;
        }
        let is_other = stripped.source.is_some() && stripped.source != source;
        // A label without value, as in the asynchronous allocator's table, continues below.
        let is_open = OPEN.is_match(&message) && !HINT.is_match(&message);
        let is_inside = is_open
            || next.start < until
            || INSIDE.is_match(words)
            || is_label(words)
            || !blank && is_wrapped(width, &message, words);
        let is_second = TRIED.is_match(words) && TRIED.is_match(&message);
        if is_other || is_second || FRAME.is_match(words) || HEAD.is_match(words) || !is_inside {
            break;
        }
        if !splits_number(&message, words) {
            message.push(' ');
        }
        message.push_str(&collapse(words));
        last = next;
    }
    Block { message, last }
}

fn is_label(words: &str) -> bool {
    words.starts_with("PyTorch limit")
}

/// A sentence that fills its line and goes on in small letters on the next.
fn is_wrapped(width: usize, message: &str, words: &str) -> bool {
    const FULL: usize = 50;
    width >= FULL
        && words.starts_with(|c: char| c.is_ascii_lowercase() || c == '(')
        && !message.ends_with(['.', ':', '!', '?', ';', ')', '}', ']', '"', '\''])
        && !aftermath::is_progress(words)
}

/// A figure that was broken in two: with a blank between, its tail would be a figure of its own.
fn splits_number(message: &str, words: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let head = message.strip_suffix('.').unwrap_or(message);
    let tail = words.strip_prefix('.').unwrap_or(words);
    head.ends_with(is_digit)
        && tail.starts_with(is_digit)
        && (head.len() == message.len() || tail.len() == words.len())
}

/// White space runs to one blank each.
pub(crate) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::join;
    use crate::log::lines::line_at;

    fn joined(text: &str) -> String {
        let span = line_at(text, 0, 0);
        join(text, span, span.of(text), None, 0).message
    }

    #[test]
    fn a_hard_wrapped_message_is_one_again() {
        let text = "# CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 2.00\n# GiB of which 3.00 MiB is free.\nfoo";
        assert!(joined(text).ends_with("of 2.00 GiB of which 3.00 MiB is free."));
    }

    #[test]
    fn what_follows_a_message_is_not_part_of_it() {
        let text =
            "CUDA out of memory. Tried to allocate 1.00 GiB.\nstep 4 loss 1.0\nGPU 0 is idle";
        assert_eq!(joined(text), "CUDA out of memory. Tried to allocate 1.00 GiB.");
    }

    #[test]
    fn a_figure_broken_in_two_is_one_figure() {
        let text = "CUDA out of memory. Tried to allocate 2.00 GiB; 17.4\n8 GiB reserved in total by PyTorch";
        assert!(joined(text).ends_with("17.48 GiB reserved in total by PyTorch"));
        let text = "CUDA out of memory. Tried to allocate 2.00 GiB; 17.\n48 GiB reserved";
        assert!(joined(text).ends_with("17.48 GiB reserved"));
    }

    #[test]
    fn a_sentence_wrapped_between_words_goes_on() {
        let text = "ValueError: Free memory on device cuda:0 (3.5/24.0 GiB) on startup is less\nthan desired GPU memory\nstep 3 loss 1";
        assert!(joined(text).ends_with("is less than desired GPU memory"));
    }

    #[test]
    fn a_blank_line_inside_a_message_is_allowed() {
        let text = "CUDA out of memory.\nTried to allocate 1.00 GiB.\n\nGPU 0 has a total capacity of 2.00 GiB\n\nPossible solutions:\n1. x 2 GiB";
        assert_eq!(
            joined(text),
            "CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 2.00 GiB"
        );
    }
}
