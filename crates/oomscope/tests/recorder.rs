//! `run`, `verify` and `fix` on programs that really run: PyTorch's own allocator on a pretend GPU.
//! What needs no PyTorch runs everywhere.
#![allow(clippy::panic, clippy::print_stdout, clippy::disallowed_methods)] // tests are at the rim

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The programs begin so.
const HEAD: &str = "\
import sys, torch
torch.backends.cudnn.enabled = False
net = torch.nn.Sequential(torch.nn.Linear(1024, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 1024)).cuda()
opt = torch.optim.AdamW(net.parameters())
def step():
    loss = net(torch.randn(4096, 1024, device=\"cuda\")).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss
";

/// PyTorch's Python and what gives it a pretend GPU, or `None` with a printed reason.
fn torch() -> Option<Vec<String>> {
    let (Ok(python), Ok(run)) =
        (std::env::var("OOMSCOPE_TORCH_PYTHON"), std::env::var("OOMSCOPE_VGPU_RUN"))
    else {
        println!(
            "skipped: OOMSCOPE_TORCH_PYTHON and OOMSCOPE_VGPU_RUN do not say where PyTorch is"
        );
        return None;
    };
    Some(vec![run, python])
}

/// A folder with a program in it.
struct Place {
    folder: tempfile::TempDir,
    command: Vec<String>,
}

impl Place {
    fn new(command: &[String], program: &str) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("train.py"), program).expect("written");
        let mut command = command.to_vec();
        command.push("train.py".to_owned());
        Place { folder, command }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn prepared(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_remove("OOMSCOPE_RUN_DIR")
            .current_dir(self.path())
            .env("VGPU_TOTAL_MB", "2048")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    /// `oomscope ARGUMENTS -- python train.py`.
    fn oomscope(&self, arguments: &[&str]) -> Output {
        let mut command = self.prepared(env!("CARGO_BIN_EXE_oomscope"));
        command.args(arguments);
        if !matches!(arguments, ["runs" | "diagnose", ..]) && !arguments.contains(&"--recorded") {
            command.arg("--").args(&self.command);
        }
        command.output().expect("the binary starts")
    }

    /// A run directory as the recorder leaves it, without having run anything.
    fn recorded(&self, records: &str, devices: &str) -> PathBuf {
        let run = self.path().join(".oomscope/runs/20260101-000000-0000");
        fs::create_dir_all(run.join("p7")).expect("made");
        let info = r#"{"schema_version":1,"id":"20260101-000000-0000","verb":"run","command":["train"],"cwd":"/","started":1.0,"exit_code":0,"version":"0"}"#;
        fs::write(run.join("run.json"), info).expect("written");
        fs::write(run.join("p7/records.jsonl"), records).expect("written");
        fs::write(run.join("devices.jsonl"), devices).expect("written");
        run
    }

    /// The command itself.
    fn bare(&self) -> Output {
        let (program, arguments) = self.command.split_first().expect("a command");
        self.prepared(program).args(arguments).output().expect("it starts")
    }

    fn run_directory(&self) -> PathBuf {
        let runs = fs::read_dir(self.path().join(".oomscope/runs")).expect("there are runs");
        let mut runs: Vec<PathBuf> = runs.flatten().map(|entry| entry.path()).collect();
        runs.sort();
        runs.pop().expect("there is one")
    }

    fn verified(&self, arguments: &[&str]) -> (Value, Output) {
        let mut all = vec!["verify", "--format", "json"];
        all.extend(arguments);
        let output = self.oomscope(&all);
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
        (json, output)
    }
}

/// After a failure in `backward` PyTorch's thread may outlive the program, recorded or not, which
/// then aborts instead of ending with 1.
fn settled_code(output: &Output) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    if output.status.signal() == Some(6) { Some(1) } else { output.status.code() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_command_without_python_keeps_its_output_and_its_exit_code() {
    let script = "echo out; echo err >&2; exit 7".to_owned();
    let place = Place::new(&["sh".to_owned(), "-c".to_owned(), script], "");
    let output = place.oomscope(&["run", "--quiet"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    let info = fs::read_to_string(place.run_directory().join("run.json")).expect("run.json");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!(info["exit_code"], 7);
    let listed = place.oomscope(&["runs"]);
    assert!(text(&listed.stdout).contains("exit 7"), "{}", text(&listed.stdout));
}

#[test]
fn a_command_that_a_signal_kills_takes_us_with_it() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new(&["sh".to_owned(), "-c".to_owned(), "kill -TERM $$".to_owned()], "");
    assert_eq!(place.oomscope(&["run", "--quiet"]).status.signal(), Some(15));
}

#[test]
fn a_command_that_is_not_there_is_an_error_and_leaves_no_run() {
    let place = Place::new(&["no-such-command-here".to_owned()], "");
    let output = place.oomscope(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot run no-such-command-here"));
    assert_eq!(fs::read_dir(place.path().join(".oomscope/runs")).expect("runs").count(), 0);
}

#[test]
fn a_verification_without_a_device_is_too_short() {
    let place = Place::new(&["true".to_owned()], "");
    let (json, output) = place.verified(&[]);
    assert_eq!((json["verdict"].as_str(), output.status.code()), (Some("too_short"), Some(1)));
}

#[test]
fn a_command_needs_no_dashes_before_it_and_a_misspelt_option_is_none() {
    let place = Place::new(&[], "");
    let run = |arguments: &[&str]| {
        let mut command = place.prepared(env!("CARGO_BIN_EXE_oomscope"));
        command.args(arguments).output().expect("the binary starts")
    };
    let output = run(&["run", "--quiet", "sh", "-c", "echo $0", "--quiet"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "--quiet\n".into()));
    for wrong in [&["run", "--quite", "true"][..], &["run"], &["run", "--step-marker", "f", "true"]]
    {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(text(&run(&["fix", "nothing.log"]).stderr).contains("no such file"));
}

#[test]
fn the_last_of_runs_within_a_second_is_the_one_that_began_last() {
    let place = Place::new(&["sh".to_owned(), "-c".to_owned(), "exit $1".to_owned()], "");
    for code in 1..6 {
        let mut command = place.prepared(env!("CARGO_BIN_EXE_oomscope"));
        command.args(["run", "-q", "--"]).args(&place.command).arg(code.to_string());
        assert_eq!(command.status().expect("it starts").code(), Some(code));
    }
    let shown = place.oomscope(&["runs", "show", "last"]);
    assert!(text(&shown.stdout).contains("ended      exit 5"), "{}", text(&shown.stdout));
}

#[test]
fn a_running_process_writes_a_snapshot_when_it_is_asked_by_any_of_its_numbers() {
    let Some(command) = torch() else { return };
    let program = format!("{HEAD}step()\nprint('ready', flush=True)\nsys.stdin.read()\n");
    let place = Place::new(&command, &program);
    let mut running = place.prepared(env!("CARGO_BIN_EXE_oomscope"));
    running.args(["run", "-q", "--"]).args(&place.command);
    let mut running = running.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    let mut ready = [0; 6];
    std::io::Read::read_exact(running.stdout.as_mut().expect("piped"), &mut ready).expect("read");
    let folder = fs::read_dir(place.run_directory()).expect("read").flatten();
    let folder = folder.map(|entry| entry.path()).find(|path| path.join("records.jsonl").is_file());
    let folder = folder.expect("a process is recorded");
    let name = folder.file_name().expect("a name").to_string_lossy().replace('p', "");
    let attach = |pid: &str| {
        let mut command = place.prepared(env!("CARGO_BIN_EXE_oomscope"));
        command.args(["attach", "--timeout", "20", pid]).output().expect("the binary starts")
    };
    for (nth, pid) in (1..).zip([name.clone(), running.id().to_string(), name.clone()]) {
        let output = attach(&pid);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(&format!("request-{nth}.pickle\n")), "{pid}: {said}");
    }
    drop(running.stdin.take());
    assert_eq!(running.wait().expect("it ends").code(), Some(0));
    assert!(text(&attach(&name).stderr).contains("has ended"));
}

/// An old error text, which does not tell who else is on the device.
const OLD_FAILURE: &str = r#"{"kind":"start","t":1.0,"schema_version":1,"pid":7}
{"kind":"device","t":1.1,"device":0,"uuid":"u-1","total":8589934592}
{"kind":"oom","t":9.0,"n":1,"device":0,"requested":1073741824,"total":8589934592,"free":104857600}
{"kind":"exception","t":9.1,"type":"RuntimeError","message":"CUDA out of memory. Tried to allocate 1.00 GiB (GPU 0; 8.00 GiB total capacity; 1.00 GiB already allocated; 100.00 MiB free; 1.00 GiB reserved in total by PyTorch)","is_oom":true}
"#;

#[test]
fn another_process_that_the_driver_listed_at_the_failure_is_the_cause() {
    let place = Place::new(&[], "");
    let devices = r#"{"t":8.5,"devices":[{"device":0,"name":"A","uuid":"u-0","total":8589934592,"free":1},{"device":1,"name":"B","uuid":"u-1","total":8589934592,"free":104857600,"processes":[{"pid":7,"used":1500000000},{"pid":4711,"used":6442450944}]}]}
"#;
    place.recorded(OLD_FAILURE, devices);
    // Beside another input: a run is one wherever it stands among them.
    for inputs in [&["last"][..], &["train.py", "20260101"], &["last", "."]] {
        let mut arguments = vec!["diagnose", "--format", "json"];
        arguments.extend(inputs);
        let output = place.oomscope(&arguments);
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json["causes"][0]["name"], "other-process", "{json:#}");
        assert!(json["causes"][0].to_string().contains("process 4711"), "{json:#}");
    }
}

#[test]
fn a_recorded_run_is_judged_without_running_anything() {
    let place = Place::new(&[], "");
    let step = |n: u64| {
        format!(
            "{{\"kind\":\"step\",\"t\":{n},\"step\":{n},\"source\":\"optimizer\",\"devices\":[{{\"device\":0,\"allocated\":{}}}]}}\n",
            n << 20
        )
    };
    let run = place.recorded(&(1..20).map(step).collect::<String>(), "");
    for name in ["last", "20260101", run.to_str().expect("text")] {
        let (json, output) = place.verified(&["--recorded", name]);
        assert_eq!((json["verdict"].as_str(), output.status.code()), (Some("growing"), Some(1)));
        assert_eq!(json["command"][0], "train");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_file_tells_what_an_unrecorded_command_died_of() {
    let message = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 15.66 GiB. GPU 0 has a total capacity of 8.00 GiB of which 6.27 GiB is free.";
    let script = format!("echo 'an earlier line' >&2; echo '{message}' >&2; exit 1");
    let place = Place::new(&["sh".to_owned(), "-c".to_owned(), script], "");
    let log = place.path().join("train.log");
    fs::write(&log, "what was there before\n").expect("written");
    let file = fs::OpenOptions::new().append(true).open(&log).expect("opened");
    let mut command = place.prepared(env!("CARGO_BIN_EXE_oomscope"));
    command.args(["run", "--"]).args(&place.command).stderr(file);
    assert_eq!(command.status().expect("it starts").code(), Some(1));
    let kept = fs::read_to_string(place.run_directory().join("log.txt")).expect("kept");
    assert_eq!(kept, format!("an earlier line\n{message}\n"));
    let said = fs::read_to_string(&log).expect("read");
    assert!(said.contains("out of memory[oversized-allocation]"), "{said}");
}

#[test]
fn a_python_below_a_shell_script_is_recorded() {
    let Some(command) = torch() else { return };
    let program = format!("{HEAD}step()\ntorch.empty(1 << 40, device='cuda')\n");
    let mut place = Place::new(&command, &program);
    let script = format!("#!/bin/sh\necho begin\n{} \"$1\"\necho end $?\n", command.join(" "));
    fs::write(place.path().join("job.sh"), script).expect("written");
    place.command = ["sh", "job.sh", "train.py"].map(str::to_owned).to_vec();
    let output = place.oomscope(&["run"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "begin\nend 1\n".into()));
    let said = text(&output.stderr);
    assert!(said.contains("out of memory[oversized-allocation]"), "{said}");
}

#[test]
fn a_cell_of_a_notebook_is_shown_from_the_recording() {
    let Some(command) = torch() else { return };
    // As IPython registers and names the code of a cell.
    let program = "\
import linecache, torch
torch.backends.cudnn.enabled = False
name, cell = '/tmp/ipykernel_7/42.py', 'import torch\\nhuge = torch.empty(1 << 40, device=\"cuda\")\\n'
linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
exec(compile(cell, name, 'exec'))
";
    let place = Place::new(&command, program);
    let said = text(&place.oomscope(&["run"]).stderr);
    assert!(said.contains("2 │ huge = torch.empty(1 << 40"), "{said}");
    let run = place.run_directory();
    let again = text(&place.oomscope(&["diagnose", run.to_str().expect("text")]).stdout);
    assert!(again.contains("2 │ huge = torch.empty(1 << 40"), "{again}");
}

#[test]
fn a_program_that_dies_of_memory_is_diagnosed_and_ends_as_it_would() {
    let Some(command) = torch() else { return };
    let program = format!(
        "{HEAD}kept = []\nwhile True:\n    loss = net(torch.randn(4096, 1024, device=\"cuda\")).pow(2).mean()\n    opt.zero_grad()\n    loss.backward(retain_graph=True)\n    opt.step()\n    kept.append(loss)\n"
    );
    let place = Place::new(&command, &program);
    let output = place.oomscope(&["run"]);
    let bare = place.bare();
    assert_eq!(settled_code(&output), settled_code(&bare));
    assert_eq!(text(&output.stdout), text(&bare.stdout));
    let said = text(&output.stderr);
    let last = "terminate called without an active exception\n";
    assert!(said.starts_with(text(&bare.stderr).trim_end_matches(last)), "{said}");
    assert!(said.contains("train.py:17"), "{said}");
    let run = place.run_directory();
    let json = fs::read_to_string(run.join("diagnosis.json")).expect("a diagnosis");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["causes"][0]["name"], "graph-retained", "{}", json["causes"][0]);
    let again = place.oomscope(&["diagnose", run.to_str().expect("text")]);
    assert_eq!(again.status.code(), Some(1));
}

#[test]
fn a_flat_program_is_stable_and_a_leak_is_growing() {
    let Some(command) = torch() else { return };
    let flat =
        Place::new(&command, &format!("{HEAD}for _ in range(12): step().item()\nprint('done')\n"));
    let (json, output) = flat.verified(&["--budget", "1GiB"]);
    assert_eq!(json["verdict"], "stable", "{json}");
    assert_eq!((json["budget"]["fits"].as_bool(), output.status.code()), (Some(true), Some(0)));
    assert!(text(&output.stderr).contains("done"));
    let leak = format!(
        "{HEAD}kept = []\nfor _ in range(12): kept.append(torch.zeros(1 << 20, device='cuda')); step()\n"
    );
    fs::write(flat.path().join("train.py"), leak).expect("written");
    let (json, output) = flat.verified(&["--baseline", "last"]);
    assert_eq!(
        (json["verdict"].as_str(), output.status.code()),
        (Some("growing"), Some(1)),
        "{json}"
    );
    assert_eq!(json["devices"][0]["slope"]["bytes_per_step"], f64::from(4 << 20));
    assert!(json["baseline"]["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "{json}");
}

#[test]
fn a_budget_file_makes_a_larger_peak_a_failure() {
    let Some(command) = torch() else { return };
    let place = Place::new(&command, &format!("{HEAD}for _ in range(8): step().item()\n"));
    assert_eq!(place.verified(&["--init"]).1.status.code(), Some(0));
    assert_eq!(place.verified(&[]).1.status.code(), Some(0));
    let larger = format!(
        "{HEAD}more = torch.zeros(1 << 26, device='cuda')\nfor _ in range(8): step().item()\n"
    );
    fs::write(place.path().join("train.py"), larger).expect("written");
    let (json, output) = place.verified(&[]);
    assert_eq!((json["budget"]["fits"].as_bool(), output.status.code()), (Some(false), Some(1)));
}

#[test]
fn steps_that_are_asked_for_end_an_endless_program_well() {
    let Some(command) = torch() else { return };
    let place = Place::new(&command, &format!("{HEAD}while True: step().item()\n"));
    let (json, _) = place.verified(&["--steps", "8"]);
    assert_eq!(
        (json["verdict"].as_str(), json["devices"][0]["steps"].as_u64()),
        (Some("stable"), Some(8))
    );
}

#[test]
fn a_program_that_catches_its_failure_is_diagnosed_all_the_same() {
    let Some(command) = torch() else { return };
    let program = format!(
        "{HEAD}step()\ntry:\n    torch.empty(1 << 40, device='cuda')\nexcept torch.cuda.OutOfMemoryError:\n    print('caught')\nfor _ in range(3): step()\n"
    );
    let place = Place::new(&command, &program);
    let output = place.oomscope(&["run"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "caught\n".into()));
    assert!(text(&output.stderr).contains("train.py:13"), "{}", text(&output.stderr));
}

#[test]
fn what_was_flushed_before_sigkill_is_there() {
    use std::os::unix::process::ExitStatusExt;
    let Some(command) = torch() else { return };
    let program = format!(
        "{HEAD}import os, signal\nfor number in range(9):\n    step()\n    if number == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
    );
    let place = Place::new(&command, &program);
    let output = place.oomscope(&["run"]);
    // The launcher may hand the signal on as a code.
    assert!(
        output.status.signal() == Some(9) || output.status.code() == Some(137),
        "{:?}",
        output.status
    );
    let shown = place.oomscope(&["runs", "show", "--format", "json"]);
    let json: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(json["processes"][0]["steps"], 6, "{json}");
}

#[test]
fn every_rank_of_a_job_has_its_own_records() {
    let Some(command) = torch() else { return };
    let program = "\
import os, torch, torch.distributed as dist
torch.backends.cudnn.enabled = False
dist.init_process_group('gloo')
torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
net = torch.nn.Linear(1024, 1024).cuda()
opt = torch.optim.SGD(net.parameters(), 0.1)
for _ in range(6):
    loss = net(torch.randn(64, 1024, device='cuda')).mean()
    opt.zero_grad(); loss.backward(); opt.step()
    dist.barrier()
dist.destroy_process_group()
";
    let mut launched = command.clone();
    launched.extend(
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"].map(str::to_owned),
    );
    let mut place = Place::new(&launched, program);
    place.command.splice(0..0, ["env".to_owned(), "VGPU_DEVICES=2".to_owned()]);
    let (json, output) = place.verified(&[]);
    let devices = json["devices"].as_array().expect("devices");
    let ranks: Vec<_> = devices.iter().map(|device| device["rank"].as_u64()).collect();
    assert_eq!(ranks, [Some(0), Some(1)], "{json}\n{}", text(&output.stderr));
    assert_eq!(json["verdict"], "stable", "{json}");
}

#[test]
fn a_fix_is_applied_proven_and_can_be_taken_back() {
    let Some(command) = torch() else { return };
    let program = format!(
        "{HEAD}losses = []\nfor _ in range(40):\n    loss = net(torch.randn(4096, 1024, device=\"cuda\")).pow(2).mean()\n    opt.zero_grad()\n    loss.backward(retain_graph=True)\n    opt.step()\n    losses.append(loss)\n"
    );
    let place = Place::new(&command, &program);
    let output = place.oomscope(&["fix", "--yes", "--verify"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("failed before, stable after"), "{said}");
    let fixed = fs::read_to_string(place.path().join("train.py")).expect("read");
    assert_ne!(fixed, program);
    let runs = fs::read_dir(place.path().join(".oomscope/runs")).expect("runs").flatten();
    assert!(runs.map(|run| run.path().join("reverse.patch")).any(|patch| patch.is_file()));
}

#[test]
fn a_fix_that_does_not_help_is_taken_back() {
    let Some(command) = torch() else { return };
    // The leak that can be patched is harmless here; a tensor that is too large fails both runs.
    let program = format!(
        "{HEAD}losses = []\nfor _ in range(4):\n    loss = net(torch.randn(4096, 1024, device=\"cuda\")).pow(2).mean()\n    opt.zero_grad()\n    loss.backward(retain_graph=True)\n    opt.step()\n    losses.append(loss)\ntorch.empty(1 << 40, device='cuda')\n"
    );
    let place = Place::new(&command, &program);
    let output = place.oomscope(&["fix", "--yes", "--verify"]);
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(place.path().join("train.py")).expect("read"), program);
}
