//! Which parts of a C++ name stay: those that everybody's PyTorch, CUDA or interpreter has.

use super::words::Words;

/// First namespaces of published libraries.
const SPACES: [&str; 21] = [
    "ATen",
    "__cxxabiv1",
    "__gnu_cxx",
    "at",
    "at_cuda_detail",
    "boost",
    "c10",
    "c10d",
    "caffe2",
    "cub",
    "cuda",
    "cutlass",
    "cute",
    "fmt",
    "gloo",
    "nlohmann",
    "nvinfer1",
    "pybind11",
    "std",
    "thrust",
    "torch",
];

/// The language's own words, and what compilers and demanglers put into names.
const LANGUAGE: [&str; 43] = [
    "__float128",
    "__host__",
    "__device__",
    "__global__",
    "__int128",
    "anonymous",
    "auto",
    "bool",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "clone",
    "cold",
    "const",
    "constexpr",
    "constprop",
    "decltype",
    "delete",
    "double",
    "enum",
    "false",
    "float",
    "inline",
    "int",
    "isra",
    "lambda",
    "long",
    "namespace",
    "new",
    "noexcept",
    "nullptr",
    "operator",
    "part",
    "short",
    "signed",
    "static",
    "struct",
    "true",
    "unsigned",
    "void",
    "volatile",
];

/// Functions of the C library, the interpreter and programs as such.
const FUNCTIONS: [&str; 44] = [
    "_PyEval_EvalFrame",
    "__clone",
    "__libc_start_call_main",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__restore_rt",
    "_start",
    "builtin_eval",
    "builtin_exec",
    "builtin___build_class__",
    "call_function",
    "cfunction_call",
    "cfunction_vectorcall_NOARGS",
    "cfunction_vectorcall_FASTCALL",
    "cfunction_vectorcall_FASTCALL_KEYWORDS",
    "cfunction_vectorcall_O",
    "clone",
    "clone3",
    "do_call_core",
    "execute_native_thread_routine",
    "gen_iternext",
    "gen_send_ex",
    "gen_send_ex2",
    "main",
    "method_vectorcall",
    "method_vectorcall_FASTCALL",
    "method_vectorcall_FASTCALL_KEYWORDS",
    "method_vectorcall_NOARGS",
    "method_vectorcall_O",
    "method_vectorcall_VARARGS_KEYWORDS",
    "object_vacall",
    "partial_call",
    "property_descr_get",
    "pymain_main",
    "pymain_run_file",
    "pymain_run_python",
    "run_eval_code_obj",
    "run_mod",
    "slot_tp_call",
    "slot_tp_init",
    "start_thread",
    "type_call",
    "vectorcall_method",
    "wrap_call",
];

/// Beginnings of functions of the interpreter, CUDA and NCCL; what follows is in upper case.
const PREFIXES: [&str; 32] = [
    "PyCFunction_",
    "PyDict_",
    "PyEval_",
    "PyImport_",
    "PyIter_",
    "PyList_",
    "PyMethod_",
    "PyNumber_",
    "PyObject_",
    "PyRun_",
    "PySequence_",
    "PyTuple_",
    "PyVectorcall_",
    "Py_",
    "THPFunction_",
    "THPVariable_",
    "cuCtx",
    "cuDevice",
    "cuEvent",
    "cuGraph",
    "cuLaunch",
    "cuMem",
    "cuModule",
    "cuStream",
    "cublas",
    "cublasLt",
    "cuda",
    "cudnn",
    "cufft",
    "cusolver",
    "cusparse",
    "nccl",
];

/// Whether a name without punctuation is one that everybody has.
pub(super) fn is_public_function(name: &str) -> bool {
    let bare = name.strip_prefix('_').unwrap_or(name);
    let is_begun_by = |prefix: &&str| {
        let rest = bare.strip_prefix(*prefix);
        rest.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_uppercase())
                || prefix.starts_with("THP") && THP.contains(&rest)
        })
    };
    matches!(name, "" | "??") || FUNCTIONS.contains(&name) || PREFIXES.iter().any(is_begun_by)
}

/// What follows `THPVariable_` and the like in stacks of requests.
const THP: [&str; 8] = ["apply", "backward", "clone", "contiguous", "cuda", "item", "to", "_to"];

/// A C++ name: each path of identifiers stays where its first namespace is published, and becomes
/// a hash where it is not.
pub(super) fn symbol(name: &str, words: Words) -> String {
    let mut told = String::with_capacity(name.len());
    let mut rest = name;
    // Whether the path was published that each open bracket follows; what `::` behind the closing
    // one goes on with belongs to it.
    let mut open: Vec<(char, bool)> = Vec::new();
    let mut owner = None;
    while let Some(first) = rest.chars().next() {
        let joint = rest.strip_prefix("::");
        if is_of_a_word(first) || joint.is_some_and(|rest| rest.starts_with(is_of_a_word)) {
            let owner_here = owner.filter(|_| joint.is_some());
            let (path, after) = rest.split_at(path_len(rest));
            let is_kept = owner_here.unwrap_or_else(|| is_public(path));
            let joint = if path.starts_with("::") { "::" } else { "" };
            told.push_str(joint);
            let bare = path.get(joint.len()..).unwrap_or_default();
            if is_kept {
                told.push_str(bare);
            } else {
                told.push_str(&words.tag(bare));
            }
            rest = after;
            owner = Some(is_kept);
            if path == "operator" || path.ends_with("::operator") {
                let is_sign = |c: char| "<>=!+-*/%&|^~,[]".contains(c);
                let sign = if rest.starts_with("()") {
                    2
                } else {
                    rest.find(|c| !is_sign(c)).unwrap_or(rest.len())
                };
                told.push_str(rest.get(..sign).unwrap_or_default());
                rest = rest.get(sign..).unwrap_or_default();
            }
            continue;
        }
        let width = if rest.starts_with("->") || rest.starts_with("::") { 2 } else { 1 };
        match first {
            _ if width == 2 => {
                if first == '-' {
                    owner = None;
                }
            }
            '<' | '(' | '{' | '[' => {
                open.push((first, owner.unwrap_or(false)));
                owner = None;
            }
            '>' | ')' | '}' | ']' => {
                let last = open.pop();
                owner = last.filter(|&(it, _)| closes(it, first)).map(|(_, is_kept)| is_kept);
                owner = Some(owner.unwrap_or(false));
            }
            _ => owner = None,
        }
        told.push_str(rest.get(..width).unwrap_or_default());
        rest = rest.get(width..).unwrap_or_default();
    }
    told
}

fn closes(open: char, close: char) -> bool {
    matches!((open, close), ('<', '>') | ('(', ')') | ('{', '}') | ('[', ']'))
}

fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// Length of `a::b::c` at the start of a text.
fn path_len(text: &str) -> usize {
    let mut len = 0;
    loop {
        let rest = text.get(len..).unwrap_or_default();
        let joint = if rest.starts_with("::") { 2 } else { 0 };
        let word = rest.get(joint..).unwrap_or_default();
        let end = word.find(|c| !is_of_a_word(c)).unwrap_or(word.len());
        if end == 0 || len > 0 && joint == 0 {
            return len;
        }
        len += joint + end;
    }
}

/// Whether a path that nothing precedes is a published one.
fn is_public(path: &str) -> bool {
    let path = path.strip_prefix("::").unwrap_or(path);
    if let Some((space, _)) = path.split_once("::") {
        return SPACES.contains(&space);
    }
    let number = path.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_number = number.len() < path.len() && number.chars().all(|c| "ulUL".contains(c));
    is_number || LANGUAGE.contains(&path) || is_public_function(path)
}

#[cfg(test)]
mod tests {
    use super::{Words, is_public_function, symbol};

    fn told(name: &str) -> String {
        symbol(name, Words::keyed((1, 2)))
    }

    #[test]
    fn published_names_stay_whole() {
        for name in [
            "at::native::empty(long)",
            "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, std::array<char*, 1ul> >(int, float)",
            "c10::cuda::CUDACachingAllocator::Native::(anonymous namespace)::DeviceCachingAllocator::malloc(unsigned long, void*)",
            "std::vector<at::Tensor, std::allocator<at::Tensor> >::operator[](unsigned long) const",
            "torch::autograd::Engine::thread_main(std::shared_ptr<torch::autograd::GraphTask> const&)::{lambda()#1}::operator()() const",
            "cudaMalloc(void**, unsigned long)",
            "_PyEval_EvalFrameDefault",
            "__libc_start_main",
        ] {
            assert_eq!(told(name), name);
        }
    }

    #[test]
    fn the_user_s_parts_go_wherever_they_stand() {
        for name in [
            "std::_Function_handler<void (), acme::zSecretModel::run()::{lambda()#1}>::_M_invoke(std::_Any_data const&)",
            "at::native::foo(acme::zSecret const&)",
            "pybind11::cpp_function::initialize<zsecret>(int)",
            "std::vector<acme::zSecret>::push_back(zsecret&&)",
            "void zsecret::Kernel<at::Tensor>::acme_run(int)",
            "bool std::operator< <acme::zSecret>(acme::zSecret const&)",
            "acme::f(std::string)::zsecret::g",
            "custom_zsecret_kernel(float*)",
            "main_zsecret",
            "cuZsecret",
            "_ZN4acme7zsecretEv",
            "зsecret::acme",
        ] {
            let told = told(name).to_lowercase();
            assert!(!told.contains("secret") && !told.contains("acme"), "{name}: {told}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_boundary() {
        assert!(is_public_function("cublasGemmEx") && is_public_function("PyObject_Call"));
        assert!(!is_public_function("custom_kernel") && !is_public_function("maintain"));
        assert!(!is_public_function("PyInit_secret") && !is_public_function("cuda_secret"));
    }

    #[test]
    fn any_text_is_taken() {
        for name in ["", "::", ">>>", "a::", "::::a", "operator", "<(<(", "->x", "é::ü"] {
            let _ = told(name);
        }
    }
}
