//! A message that was wrapped, indented or printed over several lines, to one line of words.

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
pub(crate) fn join(text: &str, span: Span, first: &str, source: Option<&str>) -> Block {
    let mut message = collapse(first);
    let mut last = span;
    let mut at = span;
    let mut blank = false;
    for _ in 0..MOST_LINES {
        if COMPLETE.is_match(&message) {
            break;
        }
        let Some(next) = line_after(text, at) else { break };
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
        let is_inside = is_open || INSIDE.is_match(words) || is_label(words);
        let is_second = TRIED.is_match(words) && TRIED.is_match(&message);
        if is_other || is_second || FRAME.is_match(words) || HEAD.is_match(words) || !is_inside {
            break;
        }
        message.push(' ');
        message.push_str(&collapse(words));
        last = next;
    }
    Block { message, last }
}

fn is_label(words: &str) -> bool {
    words.starts_with("PyTorch limit")
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
        join(text, span, span.of(text), None).message
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
    fn a_blank_line_inside_a_message_is_allowed() {
        let text = "CUDA out of memory.\nTried to allocate 1.00 GiB.\n\nGPU 0 has a total capacity of 2.00 GiB\n\nPossible solutions:\n1. x 2 GiB";
        assert_eq!(
            joined(text),
            "CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 2.00 GiB"
        );
    }
}
