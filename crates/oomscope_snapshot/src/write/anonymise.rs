//! Names out of a snapshot, so that it can be shown to others: the program's own paths and
//! functions become hashes, equal names equal hashes. The words that say what a program does at
//! that moment stay, and so does everything installed: a diagnosis reads the same but for names.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use oomscope_model::{Frame, FrameOrigin, Phase};

use crate::analysis::phase_of;
use crate::snapshot::{Shared, Snapshot};
use crate::write::anonymise::graph::graph_node;
use crate::write::anonymise::words::Words;

mod graph;
mod paths;
mod symbol;
mod words;

/// How names are hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anonymise {
    /// Files that share a salt share their hashes, as the files of one job's ranks should. Without
    /// one, a random salt is taken, and no two files have hashes in common.
    pub salt: Option<String>,
}

/// A snapshot without the program's own names.
///
/// Hashed (SipHash-2-4 with a key made of the salt, 48 bits kept): paths outside installed packages
/// and the path above them, function names of such files, the parts of C++ names and of graph nodes
/// that no published library has, unknown parts of the settings string, keys that are not PyTorch's,
/// labels. Kept: the part of a path after `site-packages`, names of PyTorch's and the interpreter's
/// C++ functions, words that every training program uses (`train`, `forward`, `eval`), line numbers,
/// addresses, sizes, times.
///
/// It protects names from readers who do not know the salt. It does not hide which model this is:
/// sizes and lines tell. Who knows the salt can test guesses at names; the names of private packages
/// that are installed stay as they are.
pub fn anonymise(snapshot: &Snapshot, how: &Anonymise) -> Snapshot {
    let words = Words::keyed(key(how.salt.as_deref()));
    let mut nameless = snapshot.clone();
    nameless.stacks =
        snapshot.stacks.renamed(|frame| anonymous(frame, words), |node| graph_node(node, words));
    nameless.settings.conf = snapshot.settings.conf.as_deref().map(|conf| conf_of(conf, words));
    for annotation in &mut nameless.annotations {
        annotation.name = range_name(&annotation.name, words);
    }
    // A compact file brings the words of its problems along.
    for problem in &mut nameless.problems {
        let is_place = problem.at.chars().all(|c| c.is_ascii_digit() || "byte vn".contains(c));
        problem.at = if is_place { problem.at.clone() } else { words.tag(&problem.at) };
        problem.what = String::from("a part of the file could not be read");
        problem.hint = None;
    }
    for unknown in &mut nameless.unknown {
        unknown.word = words.tag(&unknown.word);
    }
    for trace in &mut nameless.traces {
        trace.rows.shared = Arc::new(nameless_labels(&trace.rows.shared, words));
    }
    nameless
}

/// Metadata is the user's; `0/0` and the like count compilations.
fn nameless_labels(shared: &Shared, words: Words) -> Shared {
    let mut nameless = Shared { streams: shared.streams.clone(), ..Shared::default() };
    for label in shared.texts.iter() {
        let counts = label.chars().all(|c| c.is_ascii_digit() || "/_".contains(c));
        nameless.texts.push(&if counts { label.to_owned() } else { words.tag(label) });
    }
    nameless
}

#[expect(deprecated, reason = "hashes must not change with the standard library's default")]
fn keyed_hasher(first: u64, second: u64) -> impl Hasher {
    std::hash::SipHasher::new_with_keys(first, second)
}

fn key(salt: Option<&str>) -> (u64, u64) {
    let half = |number: u64| match salt {
        Some(salt) => {
            let mut hasher = keyed_hasher(number, 0);
            hasher.write(salt.as_bytes());
            hasher.finish()
        }
        None => RandomState::new().hash_one(number),
    };
    (half(1), half(2))
}

fn anonymous(frame: &Frame, words: Words) -> Frame {
    let origin = frame.origin();
    let is_public = paths::is_published(&frame.file, origin);
    let mut file = paths::path(&frame.file, origin, words);
    let function = match origin {
        _ if is_public => frame.function.clone(),
        FrameOrigin::Native => native_name(&frame.function, words),
        FrameOrigin::User | FrameOrigin::Library => words.name(&frame.function),
    };
    let line = frame.line;
    if (Frame { file: file.clone(), line, function: String::new() }).origin() != origin {
        let tag = words.tag(&frame.file);
        let is_of_torch = frame.file.replace('\\', "/").contains("/torch/");
        file = match origin {
            FrameOrigin::User => format!("{tag}.py"),
            FrameOrigin::Library if is_of_torch => format!("/site-packages/torch/{tag}.py"),
            FrameOrigin::Library => format!("/site-packages/{tag}.py"),
            FrameOrigin::Native => format!("{tag}.so"),
        };
    }
    let anonymous = Frame { file, line, function };
    // A name that told the phase by a word that is not kept gets a word that tells the same.
    let phase = phase_of(std::iter::once(frame));
    if is_public || phase_of(std::iter::once(&anonymous)) == phase {
        return anonymous;
    }
    let function = format!("{}.{}", words.tag(&frame.function), word_of(phase));
    Frame { function, ..anonymous }
}

/// A name of a frame outside Python: a C++ symbol, or any other text.
fn native_name(function: &str, words: Words) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    if function.chars().all(is_plain) && !symbol::is_public_function(function) {
        return words.name(function);
    }
    symbol::symbol(function, words)
}

/// A word by which functions of a phase are known.
fn word_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "load",
        Phase::Forward => "forward",
        Phase::Loss => "compute_loss",
        Phase::Backward => "backward",
        Phase::OptimizerStep => "_fused_step",
        Phase::Evaluation => "evaluate",
        Phase::Generation => "generate",
        Phase::Collective => "all_gather",
        Phase::Input => "get_batch",
        Phase::ServerStart => "initialize_kv_cache",
        Phase::Unknown => "run",
    }
}

/// The classes of `torch.optim`, which name the ranges of their steps.
const OPTIMIZERS: [&str; 16] = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
];

/// The name of a range. Of PyTorch's own, as `Optimizer.step#Adam.step`, only the class may be the
/// program's: steps are found by the rest.
fn range_name(name: &str, words: Words) -> String {
    for method in ["step", "zero_grad"] {
        let class = name.strip_prefix("Optimizer.").and_then(|rest| rest.strip_prefix(method));
        let class = class.and_then(|rest| rest.strip_prefix('#')?.strip_suffix(method));
        let Some(class) = class.and_then(|class| class.strip_suffix('.')) else { continue };
        let is_public = OPTIMIZERS.contains(&class);
        let class = if is_public { class.to_owned() } else { words.tag(class) };
        return format!("Optimizer.{method}#{class}.{method}");
    }
    let step = name.strip_prefix("ProfilerStep#");
    if step.is_some_and(|step| step.bytes().all(|c| c.is_ascii_digit())) {
        return name.to_owned();
    }
    words.name(name)
}

/// A settings string: options that PyTorch knows stay, with values that hold no name.
fn conf_of(conf: &str, words: Words) -> String {
    let option = |option: &str| {
        let is_plain = |c: char| c.is_ascii_digit() || "[]:>.,-".contains(c);
        match option.split_once(':') {
            Some((key, value))
                if words::OPTIONS.contains(&key.trim())
                    && (value.chars().all(is_plain)
                        || words::OPTION_VALUES.contains(&value.trim())) =>
            {
                option.to_owned()
            }
            _ if option.chars().all(is_plain) => option.to_owned(),
            _ => words.tag(option),
        }
    };
    conf.split(',').map(option).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use oomscope_model::{Frame, FrameOrigin};

    use super::{Words, anonymous, conf_of};

    fn anonymised(file: &str, function: &str) -> Frame {
        let frame = Frame { file: file.into(), line: 7, function: function.into() };
        anonymous(&frame, Words::keyed((1, 2)))
    }

    #[test]
    fn what_is_installed_stays_and_what_is_above_it_goes() {
        let frame = anonymised(
            "/home/alice/venv/lib/python3.11/site-packages/torch/nn/functional.py",
            "linear",
        );
        assert!(!frame.file.contains("alice"));
        assert!(frame.file.ends_with("/lib/python3.11/site-packages/torch/nn/functional.py"));
        assert_eq!((frame.function.as_str(), frame.line), ("linear", 7));
        let frame =
            anonymised("C:\\Users\\alice\\Python311\\Lib\\contextlib.py", "decorate_context");
        assert_eq!(frame.origin(), FrameOrigin::Library);
        assert!(!frame.file.contains("alice"), "{}", frame.file);
    }

    #[test]
    fn the_user_s_names_go_and_the_words_of_the_trade_stay() {
        let frame = anonymised("/home/alice/cancer/train_gpt.py", "train_secret_model");
        assert_eq!(frame.origin(), FrameOrigin::User);
        for secret in ["alice", "cancer", "gpt", "secret"] {
            assert!(!format!("{}{}", frame.file, frame.function).contains(secret));
        }
        assert!(frame.function.starts_with("train_"), "{}", frame.function);
        let file = frame.file.rsplit('/').next().unwrap_or_default();
        assert!(file.starts_with("train_"), "{file}");
        assert_eq!(anonymised("train.py", "<module>").file, "train.py");
        assert_eq!(anonymised("train.py", "__init__").function, "__init__");
    }

    #[test]
    fn equal_names_have_equal_hashes_and_other_salts_give_others() {
        let [one, same] = ["secret.py", "secret.py"].map(|file| anonymised(file, "f"));
        assert_eq!(one, same);
        assert_ne!(one, anonymised("other.py", "f"));
        assert_ne!(Words::keyed((1, 2)).tag("secret"), Words::keyed((1, 3)).tag("secret"));
    }

    #[test]
    fn native_frames_of_pytorch_stay_and_the_user_s_kernels_go() {
        let frame = anonymised("/opt/pytorch/aten/src/ATen/Context.cpp", "at::native::empty(long)");
        assert_eq!(frame.function, "at::native::empty(long)");
        assert_eq!(anonymised("??", "_PyEval_EvalFrame").file, "??");
        let frame = anonymised("/home/alice/kernels/secret.cu", "secret_kernel(float*)");
        assert_eq!(frame.origin(), FrameOrigin::Native);
        assert!(!format!("{frame:?}").contains("secret"), "{frame:?}");
    }

    #[test]
    fn settings_keep_their_known_options() {
        let words = Words::keyed((1, 2));
        let known =
            "expandable_segments:True,max_split_size_mb:128,roundup_power2_divisions:[256:1,>:4]";
        assert_eq!(conf_of(known, words), known);
        assert!(!conf_of("secret:alice,gc:1", words).contains("alice"));
    }
}
