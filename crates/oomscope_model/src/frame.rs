//! A frame of a Python or C++ stack, whose code it is, and what the program was doing there.

use crate::Place;

/// One frame of a recorded stack or a traceback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// File as recorded; `??` or a shared object for C++ frames.
    pub file: String,
    /// 1-based line; 0 where unknown, an offset in a C++ frame of recent PyTorch.
    pub line: u32,
    /// Function name as recorded.
    pub function: String,
}

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameOrigin {
    /// The user's own Python: what they can edit.
    User,
    /// Installed Python packages and the standard library.
    Library,
    /// C++ or generated code.
    Native,
}

impl Frame {
    /// Whose code this is, from its path: the user's is Python outside `site-packages`,
    /// `dist-packages`, `lib/python3.x` and frozen or generated modules.
    pub fn origin(&self) -> FrameOrigin {
        let file = self.file.replace('\\', "/");
        let is_python = ends_in_py(&file)
            || file.starts_with("<ipython-input")
            || file.starts_with("/tmp/ipykernel")
            || file.contains("/ipykernel_")
            || file == "<stdin>"
            || file == "<string>"
            || (file.starts_with("In[") || file.starts_with("Cell In"));
        if !is_python {
            return if file.starts_with('<') { FrameOrigin::Library } else { FrameOrigin::Native };
        }
        let installed = ["/site-packages/", "/dist-packages/", "/_pytorch_internal/"];
        let python_lib = file.find("/lib/python").is_some_and(|at| {
            file[at + "/lib/python".len()..].starts_with(|c: char| c.is_ascii_digit())
        });
        let windows_lib = file.contains("/Lib/") && file.to_lowercase().contains("python");
        let torch_itself = [
            "/torch/nn/",
            "/torch/optim/",
            "/torch/autograd/",
            "/torch/utils/",
            "/torch/_",
            "/torch/cuda/",
            "/torch/distributed/",
        ]
        .iter()
        .any(|part| file.contains(part));
        if installed.iter().any(|part| file.contains(part))
            || python_lib
            || windows_lib
            || torch_itself
            || file.starts_with("<string>")
        {
            FrameOrigin::Library
        } else {
            FrameOrigin::User
        }
    }

    /// The line as a [`Place`].
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, function: Some(self.function.clone()) }
    }
}

/// What the program was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Importing, building or moving the model, reading weights or a checkpoint.
    Loading,
    /// Running the model with a graph being recorded or unknown.
    Forward,
    /// Computing the loss.
    Loss,
    /// Running backward.
    Backward,
    /// Inside the optimizer's step.
    OptimizerStep,
    /// Evaluation, validation or prediction.
    Evaluation,
    /// Token-by-token generation.
    Generation,
    /// A collective or the distributed wrapper.
    Collective,
    /// Moving a batch to the device.
    Input,
    /// Starting a server: profiling, cache blocks, graph capture.
    ServerStart,
    /// Not known.
    Unknown,
}

impl Phase {
    /// In words, for reports and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Loading => "loading",
            Phase::Forward => "forward",
            Phase::Loss => "loss",
            Phase::Backward => "backward",
            Phase::OptimizerStep => "optimizer step",
            Phase::Evaluation => "evaluation",
            Phase::Generation => "generation",
            Phase::Collective => "collective",
            Phase::Input => "input transfer",
            Phase::ServerStart => "server start",
            Phase::Unknown => "unknown",
        }
    }
}

/// Recorded paths keep their case, Windows' included.
fn ends_in_py(file: &str) -> bool {
    file.len() >= 3
        && file.get(file.len() - 3..).is_some_and(|ending| ending.eq_ignore_ascii_case(".py"))
}

#[cfg(test)]
mod tests {
    use super::{Frame, FrameOrigin};

    #[test]
    fn the_user_s_code_is_python_outside_installed_packages() {
        for (file, origin) in [
            ("/workspace/train.py", FrameOrigin::User),
            ("train.py", FrameOrigin::User),
            ("/tmp/ipykernel_12/1234.py", FrameOrigin::User),
            ("<ipython-input-3-ab>", FrameOrigin::User),
            ("/opt/venv/lib/python3.11/site-packages/torch/nn/functional.py", FrameOrigin::Library),
            ("/usr/lib/python3.10/contextlib.py", FrameOrigin::Library),
            (
                "C:\\Users\\x\\Miniconda3\\lib\\site-packages\\torch\\serialization.py",
                FrameOrigin::Library,
            ),
            ("<frozen importlib._bootstrap>", FrameOrigin::Library),
            ("??", FrameOrigin::Native),
            ("/opt/torch/csrc/Module.cpp", FrameOrigin::Native),
            ("libtorch_cuda.so", FrameOrigin::Native),
        ] {
            let frame = Frame { file: file.into(), line: 1, function: "f".into() };
            assert_eq!(frame.origin(), origin, "{file}");
        }
    }
}
