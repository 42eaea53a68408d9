//! What launchers, loggers and containers print before a line: taken off, with the rank kept.

use std::sync::LazyLock;

use regex::Regex;

use super::ascii;

/// A line without its prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stripped<'a> {
    /// The rest; its indentation is the program's own.
    pub(crate) text: &'a str,
    /// The rank that the prefix names.
    pub(crate) rank: Option<u32>,
    /// Who printed it, as far as the prefix tells: lines of two sources never belong together.
    pub(crate) source: Option<&'a str>,
}

/// Prefixes that name a rank in group 1.
const RANKED: &[&str] = &[
    r"\[rank(\d{1,6})\]:?",                        // torch.distributed excepthook
    r"\[default(\d{1,6})\]:",                      // torchrun --tee
    r"\[\d+,(\d{1,6})\]<std(?:err|out)>:?",        // mpirun --tag-output
    r"\[(?:Rank|RANK|rank)[ :=]?\s?(\d{1,6})\]:?", // Lightning, Megatron
    r"\(\w+ rank=(\d{1,6}) pid=\d+\)",             // vLLM
    r"[\[(]\w*Worker_TP(\d{1,6})(?: pid=\d+)?[\])]", // vLLM
    r"\[(?:\d+-\d+-\d+ [\d:]+ )?(?:DP\d+ )?TP(\d{1,6})(?: \w+)?\]", // SGLang
    r"(\d{1,6}):(?: |$)",                          // srun --label
    r"(?:Rank|RANK|rank) ?(\d{1,6}):",
];

/// Prefixes that name a process in group 1.
const SOURCED: &[&str] = &[
    r"(\([A-Za-z_][\w.: -]*? ?pid=\d+(?:, ?ip=[^)]*)?\))",
    r"(\((?:EngineCore|APIServer|ApiServer|Worker)\w*\))",
    r"(\[[A-Za-z_]\w* pid=\d+\])",
    r"(\[pod/[^\]\s]+\])",
    r"([\w.-]+\s*\|)(?: |$)", // docker compose
];

/// Prefixes that carry nothing.
const PLAIN: &[&str] = &[
    r"\[?\d{4}[-/]\d{1,2}[-/]\d{1,2}[T ]\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?(?:\]|,|:)?",
    r"\[?\d{2}[-/]\d{2}(?:[-/]\d{2,4})? \d{2}:\d{2}:\d{2}(?:[.,]\d+)?\]?",
    r"\[?\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?\]?",
    r"\[?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)? ?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}\d{1,2} [\d:]{8}(?: \d{4})?\]?",
    r"\d+(?:\.\d+)?s\s+\d+\s", // Kaggle notebook log
    r"[EWIF]\d{4} \d{2}:\d{2}:\d{2}\.\d+ +\d+ [ -\\^-~]{1,120}\]", // glog
    r"\[[EWIF]\d{4} [\d:.]+ [\w.]+:\d+\]", // c10 logging
    r"\[?(?:ERROR|WARNING|WARN|INFO|DEBUG|CRITICAL|FATAL|Error|Warning|Info)\]?(?: {1,4}|:|\s*\||$| -)",
    r"(?:ERROR|WARNING|INFO|CRITICAL):[\w.]+:",
    r"\[[\w./\\-]+\.(?:py|cc|cpp|cu|rs|go):\d+(?::\w+)?\]",
    r"\[?[\w./\\-]+\.(?:py|cc|cpp|cu|rs|go):\d+\]? ?[:-]?",
    r"std(?:out|err) [FP](?: |$)",               // CRI
    r"[\w.-]{1,64} [\w./()-]{1,64}\[\d{1,9}\]:", // syslog
    r"[\w.-]{1,64} kernel:",
    r"\[ {0,8}\d{1,9}\.\d{3,6}\]",         // dmesg
    r"[\w.]{1,80}:[\w<>]{1,80}:\d{1,6} -", // loguru
    r"[|>+]|•",                            // quotes, exception groups, table borders
    r"#{1,6} ",
    r"(?://|--?|\*) ",
    r"`{3}\w*",
];

struct Patterns {
    ranked: Vec<Regex>,
    sourced: Vec<Regex>,
    plain: Vec<Regex>,
    any: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let anchored = |table: &[&str]| {
        table.iter().map(|pattern| ascii::compile(&format!(r"^\s*{pattern}"))).collect::<Vec<_>>()
    };
    let all: Vec<String> =
        RANKED.iter().chain(SOURCED).chain(PLAIN).map(|pattern| format!("(?:{pattern})")).collect();
    Patterns {
        ranked: anchored(RANKED),
        sourced: anchored(SOURCED),
        plain: anchored(PLAIN),
        any: ascii::compile(&format!(r"^\s*(?:{})", all.join("|"))),
    }
});

/// A line has at most this many prefixes.
const MOST_PREFIXES: usize = 8;

/// Takes the prefixes off.
pub(crate) fn strip(line: &str) -> Stripped<'_> {
    let patterns = &*PATTERNS;
    let mut stripped = Stripped { text: line, rank: None, source: None };
    for _ in 0..MOST_PREFIXES {
        // A source line of a traceback may itself look like a prefix (`|`, `# note`).
        let indent = stripped.text.len() - stripped.text.trim_start().len();
        if indent >= 4 && !stripped.text.trim_start().starts_with(['|', '+', '>', '[', '(']) {
            break;
        }
        if !patterns.any.is_match(stripped.text) {
            break;
        }
        let Some(end) = take(patterns, &mut stripped) else { break };
        let rest = stripped.text.get(end..).unwrap_or("");
        stripped.text = rest.strip_prefix(' ').unwrap_or(rest);
    }
    stripped
}

fn take(patterns: &Patterns, stripped: &mut Stripped<'_>) -> Option<usize> {
    for regex in &patterns.ranked {
        if let Some(found) = regex.captures(stripped.text) {
            stripped.rank =
                stripped.rank.or_else(|| found.get(1).and_then(|rank| rank.as_str().parse().ok()));
            return Some(found.get(0)?.end());
        }
    }
    for regex in &patterns.sourced {
        if let Some(found) = regex.captures(stripped.text) {
            stripped.source =
                stripped.source.or_else(|| found.get(1).map(|source| source.as_str()));
            return Some(found.get(0)?.end());
        }
    }
    patterns.plain.iter().find_map(|regex| regex.find(stripped.text)).map(|found| found.end())
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn prefixes_go_and_the_rank_stays() {
        for (line, text, rank) in [
            ("[rank3]: RuntimeError: x", "RuntimeError: x", Some(3)),
            ("[rank3]:   File \"a.py\", line 1", "  File \"a.py\", line 1", Some(3)),
            ("2: Traceback (most recent", "Traceback (most recent", Some(2)),
            ("[1,5]<stderr>:KeyError: 'a'", "KeyError: 'a'", Some(5)),
            (
                "(EngineCore_DP0 pid=167) ERROR 02-28 16:12:13 [core.py:866] ValueError: no",
                "ValueError: no",
                None,
            ),
            (
                "(VllmWorker rank=1 pid=88) ERROR 02-28 16:12:13 [a/b.py:6]     x = y",
                "    x = y",
                Some(1),
            ),
            ("[Worker_TP3 pid=540] ERROR 11-19 21:10:38 [v1/x.py:671] E", "E", Some(3)),
            ("2021-12-08T01:25:15.387847564Z     output = input", "    output = input", None),
            ("14446.4s\t511\t06:50:28 [WARNING] HF: x", "HF: x", None),
            (
                "2025-02-03T04:05:06.789Z stderr F [rank4]: RuntimeError: x",
                "RuntimeError: x",
                Some(4),
            ),
            (
                "Feb  3 04:05:06 host-9 job[17]: [rank4]:   File \"a.py\"",
                "  File \"a.py\"",
                Some(4),
            ),
            ("2025-02-03 04:05:06.789 | ERROR    | app.run:main:31 - [rank4]: x", "x", Some(4)),
            ("      [rank4]: x", "x", Some(4)),
            ("trainer-1  | Killed", "Killed", None),
            ("# RuntimeError: x", "RuntimeError: x", None),
            ("> > RuntimeError: x", "RuntimeError: x", None),
            ("[2024-03-26 16:50:50,221] torch.x: [ERROR] failed", "torch.x: [ERROR] failed", None),
        ] {
            let stripped = strip(line);
            assert_eq!((stripped.text, stripped.rank), (text, rank), "{line}");
        }
    }

    #[test]
    fn words_of_the_message_are_no_prefix() {
        for line in
            ["GPU 0 has a total capacity", "    | x", "CUDA out of memory.", "4.60 GiB free"]
        {
            let text = strip(line).text;
            assert!(line.ends_with(text) && text.len() + 6 >= line.len(), "{line}");
        }
    }
}
