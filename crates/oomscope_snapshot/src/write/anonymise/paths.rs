//! Which parts of a path stay: those of what is installed everywhere under the same names.

use oomscope_model::FrameOrigin;

use super::words::Words;

/// From these on, a path is that of something published. The digits of a version follow the last.
const PUBLISHED: [&str; 4] =
    ["/site-packages/", "/dist-packages/", "/_pytorch_internal/", "/lib/python3."];

/// Packages whose libraries are the same everywhere.
const PACKAGES: [&str; 3] = ["nvidia", "torch", "triton"];

/// Files without a path of their own that the interpreter has.
const FROZEN: [&str; 8] = [
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    "<frozen os>",
    "<frozen posixpath>",
    "<frozen runpy>",
    "<frozen site>",
    "<frozen zipimport>",
    "<__array_function__ internals>",
];

/// Beginnings of names of code without a file. What follows is the program's.
const WITHOUT_FILE: [&str; 6] =
    ["<frozen ", "<ipython-input-", "<eval_with_key>", "<string>", "In[", "Cell In"];

/// Shared objects that everybody has, without versions.
const LIBRARIES: [&str; 38] = [
    "ld-linux-x86-64",
    "libaoti_custom_ops",
    "libc",
    "libc10",
    "libc10_cuda",
    "libcaffe2_nvrtc",
    "libcublas",
    "libcublasLt",
    "libcuda",
    "libcudart",
    "libcudnn",
    "libcudnn_adv",
    "libcudnn_cnn",
    "libcudnn_engines_precompiled",
    "libcudnn_engines_runtime_compiled",
    "libcudnn_graph",
    "libcudnn_heuristic",
    "libcudnn_ops",
    "libcufft",
    "libcupti",
    "libcurand",
    "libcusolver",
    "libcusparse",
    "libcusparseLt",
    "libdl",
    "libgcc_s",
    "libgomp",
    "libm",
    "libnccl",
    "libnvrtc",
    "libpthread",
    "libshm",
    "libstdc++",
    "libtorch",
    "libtorch_cpu",
    "libtorch_cuda",
    "libtorch_global_deps",
    "libtorch_python",
];

/// Sources of the interpreter and the C library.
const SOURCES: [&str; 26] = [
    "abstract.c",
    "bltinmodule.c",
    "call.c",
    "ceval.c",
    "ceval.h",
    "classobject.c",
    "descrobject.c",
    "funcobject.c",
    "generated_cases.c.h",
    "genobject.c",
    "import.c",
    "libc-start.c",
    "libc_start_call_main.h",
    "libc-start.h",
    "main.c",
    "methodobject.c",
    "object.c",
    "pthread_create.c",
    "pycore_call.h",
    "pycore_ceval.h",
    "pylifecycle.c",
    "python.c",
    "pythonrun.c",
    "typeobject.c",
    "clone.S",
    "clone3.S",
];

/// Extensions that say nothing about whose a file is.
const EXTENSIONS: [&str; 17] = [
    "S", "c", "cc", "cpp", "cu", "cuh", "cxx", "dll", "dylib", "exe", "h", "hpp", "ipynb", "py",
    "pyc", "pyx", "so",
];

/// Whether a file of this origin is known to be installed, so that its functions' names are its
/// publisher's.
pub(super) fn is_published(file: &str, origin: FrameOrigin) -> bool {
    origin == FrameOrigin::Library && (FROZEN.contains(&file) || published_from(file).is_some())
}

/// A path: the published part stays, of the rest each component is a name.
pub(super) fn path(path: &str, origin: FrameOrigin, words: Words) -> String {
    if FROZEN.contains(&path) || matches!(path, "" | "<string>" | "<stdin>") {
        return path.to_owned();
    }
    if let Some((begin, rest)) =
        WITHOUT_FILE.iter().find_map(|it| Some((it, path.strip_prefix(it)?)))
    {
        return without_file(begin, rest, words);
    }
    if path.starts_with('<') {
        return format!("<{}>", words.tag(path));
    }
    if origin == FrameOrigin::Native && path.chars().all(|c| "?:".contains(c) || c.is_ascii_digit())
    {
        return path.to_owned();
    }
    let kept_from = match origin {
        FrameOrigin::User => None,
        FrameOrigin::Library => published_from(path),
        FrameOrigin::Native => published_from(path).filter(|&at| is_of_a_known_package(path, at)),
    };
    let (own, kept) = path.split_at_checked(kept_from.unwrap_or(path.len())).unwrap_or((path, ""));
    let mut anonymous = String::with_capacity(path.len());
    for part in own.split_inclusive(['/', '\\']) {
        let name = part.trim_end_matches(['/', '\\']);
        let is_folder = !kept.is_empty() || name.len() < part.len();
        anonymous.push_str(&component(name, is_folder, words));
        anonymous.push_str(part.get(name.len()..).unwrap_or_default());
    }
    anonymous.push_str(kept);
    anonymous
}

/// `<ipython-input-5-1f2e>`, `<eval_with_key>.0 from /home/me/net.py:9 in forward`, `Cell In[5]`:
/// numbers count cells and graphs.
fn without_file(begin: &str, rest: &str, words: Words) -> String {
    let is_mark = |c: char| c.is_ascii_digit() || "[]<>-.".contains(c);
    let marks = rest.find(|c| !is_mark(c)).unwrap_or(rest.len());
    let (marks, own) = rest.split_at_checked(marks).unwrap_or(("", rest));
    let own = if own.is_empty() { String::new() } else { words.tag(own) };
    // A name in angle brackets stays one, which tells it from a path.
    let end = if begin.starts_with('<') && !own.is_empty() { ">" } else { "" };
    format!("{begin}{marks}{own}{end}")
}

/// Where the published part begins: behind the last folder of installed things, so that no folder
/// of the user is in it.
fn published_from(path: &str) -> Option<usize> {
    let slashes = path.replace('\\', "/");
    let starts = PUBLISHED.iter().filter_map(|mark| {
        let at = slashes.rfind(mark)?;
        let rest = slashes.get(at + mark.len()..)?;
        let version = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_whole =
            mark.ends_with('/') || version.len() < rest.len() && version.starts_with('/');
        is_whole.then_some(at)
    });
    starts.max().or_else(|| {
        // `Python311\Lib` of Windows.
        let at = slashes.rfind("/Lib/")?;
        let folder = slashes.get(..at)?.rsplit('/').next()?.to_ascii_lowercase();
        let version = folder.strip_prefix("python3")?;
        version.bytes().all(|c| c.is_ascii_digit()).then_some(at)
    })
}

fn is_of_a_known_package(path: &str, from: usize) -> bool {
    let slashes = path.replace('\\', "/");
    let mut inside = slashes.get(from..).unwrap_or_default().split('/').skip(2);
    let (package, file) = (inside.next().unwrap_or_default(), slashes.rsplit('/').next());
    PACKAGES.contains(&package) && file.is_some_and(is_public_file)
}

fn component(name: &str, is_folder: bool, words: Words) -> String {
    let digits = |rest: &str| rest.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let lower = name.to_ascii_lowercase();
    if name.is_empty()
        || !is_folder && is_public_file(name)
        || matches!(name, "." | ".." | "~" | "C:" | "D:")
        || lower.strip_prefix("python").is_some_and(digits)
        || is_folder && name.strip_prefix("ipykernel_").is_some_and(digits)
    {
        return name.to_owned();
    }
    match name.rsplit_once('.') {
        Some((stem, extension)) if !is_folder && EXTENSIONS.contains(&extension) => {
            format!("{}.{extension}", words.name(stem))
        }
        _ => words.name(name),
    }
}

/// Shared objects and sources that everybody has.
fn is_public_file(name: &str) -> bool {
    let digits = |rest: &str| rest.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    if SOURCES.contains(&name) {
        return true;
    }
    let Some((stem, version)) = name.split_once(".so") else { return false };
    digits(version)
        && (LIBRARIES.contains(&stem) || stem.strip_prefix("libpython3").is_some_and(digits))
}
