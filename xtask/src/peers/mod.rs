//! Other tools that read a snapshot: where they come from, at which version, and the command that
//! does what `oomscope snapshot` does. A table: another tool is another row.

mod install;

use std::path::Path;

use anyhow::Result;

pub(crate) use install::Folder;

/// The release whose `_memory_viz.py` is taken; the file needs nothing but Python.
const TORCH: &str = "2.15.0";
/// A platform whose wheel of PyTorch is small.
const TORCH_PLATFORM: &str = "macosx_14_0_arm64";
/// Mosaic has no release: its repository, or the one that `OOMSCOPE_MOSAIC` names, and a commit.
const MOSAIC: &str = "https://github.com/facebookresearch/mosaic";
const MOSAIC_COMMIT: &str = "67b27bb19660e009db47ad071fd377208732ad59";

/// A tool that reads snapshots.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Brings it into the folder.
    pub(crate) install: fn(&Folder) -> Result<()>,
    /// The command as its manual has it.
    pub(crate) shown: &'static str,
    /// That command for a file; the last argument is a folder that it may write to.
    pub(crate) command: fn(&Folder, &str, &Path) -> Vec<String>,
}

/// All of them, the plainest first.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "pickle.load",
        version: "",
        install: Folder::make_environment,
        shown: "python -c 'pickle.load(...)'",
        command: |folder, file, _| {
            let load = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))";
            words(&[&folder.python(), "-c", load, file])
        },
    },
    Peer {
        name: "_memory_viz.py",
        version: TORCH,
        install: install_memory_viz,
        shown: "_memory_viz.py trace_plot FILE",
        command: |folder, file, scratch| {
            let script = folder.path("_memory_viz.py").display().to_string();
            let html = scratch.join("plot.html").display().to_string();
            words(&[&folder.python(), &script, "trace_plot", file, "-o", &html])
        },
    },
    Peer {
        name: "Mosaic",
        version: "67b27bb",
        install: |folder| {
            install_mosaic(folder)?;
            // Its `setup.py` names folders that are not there: it runs from its checkout.
            let needs = [
                "altair==5.5.0",
                "click==8.3.0",
                "omegaconf==2.3.0",
                "pandas==2.3.3",
                "tabulate==0.9.0",
            ];
            folder.install_packages("needs of Mosaic", &needs)
        },
        shown: "mosaic_get_memory_usage_peak --snapshot FILE",
        command: |folder, file, _| {
            let path = format!("PYTHONPATH={}", folder.path("mosaic").display());
            let module = "mosaic.cmd.get_memory_usage_peak";
            words(&["env", &path, &folder.python(), "-m", module, "--snapshot", file])
        },
    },
    Peer {
        name: "ptmem",
        version: "0.1.2",
        install: |folder| folder.install_packages("ptmem", &["ptmem==0.1.2"]),
        shown: "ptmem -s FILE",
        command: |folder, file, _| words(&[&folder.program("ptmem"), "-s", file]),
    },
    Peer {
        name: "pt-snap-cli",
        version: "0.4.1",
        install: |folder| folder.install_packages("pt-snap-cli", &["pt-snap-cli==0.4.1"]),
        shown: "pt-snap import FILE --no-focus",
        command: |folder, file, scratch| {
            let out = scratch.join("database").display().to_string();
            let program = folder.program("pt-snap");
            words(&[&program, "import", file, "--output-dir", &out, "--no-focus"])
        },
    },
];

/// Brings what the agreement test of `oomscope_snapshot` compares with into the folder at `path`.
pub(crate) fn install_for_tests(path: &str) -> Result<()> {
    let folder = Folder::open(Path::new(path))?;
    let parts = [
        ("_memory_viz.py", install_memory_viz as fn(&Folder) -> Result<()>),
        ("Mosaic", install_mosaic),
    ];
    for (name, install) in parts {
        match install(&folder) {
            Ok(()) => println!("{name}: installed"),
            Err(error) => println!("{name}: skipped: {error:#}"),
        }
    }
    Ok(())
}

fn install_memory_viz(folder: &Folder) -> Result<()> {
    let package = format!("torch=={TORCH}");
    folder.take_from_wheel(&package, TORCH_PLATFORM, "torch/cuda/_memory_viz.py")
}

fn install_mosaic(folder: &Folder) -> Result<()> {
    let repository = std::env::var("OOMSCOPE_MOSAIC").unwrap_or_else(|_| MOSAIC.to_owned());
    folder.check_out(&repository, MOSAIC_COMMIT, "mosaic")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
