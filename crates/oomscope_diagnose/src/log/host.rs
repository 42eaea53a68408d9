//! Deaths by the host: SIGKILL, cgroups, Ray's monitor, Slurm, shared memory, CPU allocators.

use std::borrow::Cow;

use oomscope_model::{Bytes, Framework};

use super::figures::{Recognised, patterns, size_in};

patterns! {
    RAY = r"(?i)ray\.exceptions\.OutOfMemoryError|RayOutOfMemoryError|More than \d+ ?% of the memory on node|node running low on memory|memory usage threshold of 0?\.\d|Ray killed this worker|killed due to memory pressure|killed .{0,40}by the (?:memory monitor|raylet)";
    SLURM = r"(?i)slurmstepd.{0,80}(?:oom[-_ ]?kill|memory)|oom[-_]kill event|Exceeded (?:job|step) memory limit|exceeded memory limit \(|task \d+: Out Of Memory|State: ?OUT_OF_MEMORY|CANCELLED .{0,80}DUE TO MEMORY";
    SYSTEM = r"(?i)OOMKilled\b(?:\W{0,6}true)?|Out of memory: Kill(?:ed)? process|memory cgroup out of memory|oom-kill:constraint|oom[_-]reaper|invoked oom-killer|model requires more system memory|line \d+:\s+\d+ Killed\b|Memory limit exceeded.{0,20}container";
    EXIT = r"(?i)exit ?code\W?\s*(?:is|was|of|=|:)?\s*:?\s*(?:-9|137)\b|exit (?:status|code):? (?:-9|137)\b|return ?code\s*(?:=|:)?\s*(?:-9|137)\b|Signals\.SIGKILL|\(SIGKILL\)|signal SIGKILL|signal:? 9\b|status 137\b|code 137\b|Signal: ?9\b";
    WORKER = r"(?i)DataLoader worker.{0,60}killed by signal: ?(?:Killed|Bus error)|DataLoader worker.{0,60}exited unexpectedly|insufficient shared memory|out of shared memory|unable to (?:open|mmap|write).{0,200}(?:Cannot allocate memory|No space left|shared memory)|shm\w*.{0,80}No space left on device|Bus error \(core dumped\)|process pool was terminated abruptly|worker was killed|terminated abruptly while the future";
    BUS = r"(?i)DataLoader worker|Bus error|shared memory";
    CPU = r"(?i)CPUAllocator|posix_memalign|Buy new RAM|alloc_cpu\.cpp|ArrayMemoryError|Unable to allocate {S} for an array|\[Errno 12\]|Cannot allocate memory|^(?:\w+\.)*MemoryError\b|std::bad_alloc|of pinned memory\b|cudaHostAlloc.{0,60}out of memory";
    DEVICE = r"(?i)\brmm\b|cudaErrorMemoryAllocation|out_of_memory: CUDA|\bCUDA error\b";
    NOT_KILLED = r"(?i)OOMKilled\W{1,6}(?:false|no)\b";
    CPU_SIZE = r"(?i)tried to allocate ({S})|Unable to allocate ({S}) for an array|failed to allocate ({S})";
    BARE = r"^(?:zsh: )?[Kk]illed\b[\s.!]*$|^Killed\s+\S+|^(?:已杀死|已砍掉|強制終了|죽었음|Убито|Getötet|Processus arrêté|Terminado \(killed\)|Matado)\s*$";
}

/// Recognises deaths by the host.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    let message = &*without_denial(message);
    if RAY.is_match(message) {
        return Some(Recognised::failure("OutOfMemoryError", Framework::Ray));
    }
    if SLURM.is_match(message) {
        return Some(Recognised::failure("oom_kill", Framework::Slurm));
    }
    if SYSTEM.is_match(message) || BARE.is_match(message) {
        return Some(Recognised::failure("Killed", Framework::Os));
    }
    if WORKER.is_match(message) {
        return Some(Recognised::failure("RuntimeError", Framework::Torch));
    }
    if EXIT.is_match(message) {
        let is_torch = ["local_rank", "torch", "pid:", "ChildFailed", "traceback :"];
        let framework = if is_torch.iter().any(|word| message.contains(word)) {
            Framework::Torch
        } else {
            Framework::Os
        };
        return Some(Recognised::failure("SIGKILL", framework));
    }
    if is_cpu(message) {
        let is_torch = ["CPUAllocator", "alloc_cpu", "posix_memalign", "Torch:", "pinned"];
        let framework = if message.contains("ggml_") {
            Framework::LlamaCpp
        } else if is_torch.iter().any(|word| message.contains(word)) {
            Framework::Torch
        } else {
            Framework::Os
        };
        let mut recognised = Recognised::failure("MemoryError", framework);
        // What a library pins is RAM, not a request to the device.
        recognised.memory.requested =
            requested(message).filter(|_| !message.contains("pinned memory"));
        return Some(recognised);
    }
    None
}

/// A container's state names `OOMKilled` also where it says that nothing of the kind happened.
fn without_denial(message: &str) -> Cow<'_, str> {
    if message.contains("OOMKilled") {
        NOT_KILLED.replace_all(message, "")
    } else {
        Cow::Borrowed(message)
    }
}

/// `std::bad_alloc` is also what device allocators throw.
fn is_cpu(message: &str) -> bool {
    CPU.is_match(message) && (!DEVICE.is_match(message) || message.contains("pinned memory"))
}

fn requested(message: &str) -> Option<Bytes> {
    let found = CPU_SIZE.captures(message)?;
    super::units::size(found.iter().skip(1).flatten().next()?.as_str())
}

/// Whether the text says that host memory, not the device's, ran out.
pub(crate) fn blames_host(message: &str) -> Option<&'static str> {
    let message = &*without_denial(message);
    let has = |regex: &std::sync::LazyLock<regex::Regex>| regex.is_match(message);
    if has(&RAY) {
        Some("Ray's memory monitor killed a worker because the node's RAM ran low")
    } else if has(&SLURM) {
        Some("Slurm's memory limit killed the job: host RAM, not the GPU's")
    } else if has(&SYSTEM) {
        Some("the kernel or the container's memory limit killed the process: host RAM ran out")
    } else if has(&WORKER) {
        if message.contains("No space left") {
            Some("shared memory (/dev/shm) is full")
        } else if has(&BUS) && size_in(&CPU_SIZE, message).is_none() {
            Some("a DataLoader worker died for lack of RAM or shared memory (/dev/shm)")
        } else {
            Some("a helper process died for lack of RAM")
        }
    } else if has(&EXIT) || has(&BARE) {
        Some("the process was killed with SIGKILL, which the kernel does when RAM runs out")
    } else if is_cpu(message) {
        Some("the CPU allocator, not the GPU's, could not get memory")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::recognise;
    use oomscope_model::{Bytes, Framework};

    #[test]
    fn each_death_by_the_host_is_recognised() {
        for (message, framework) in [
            ("slurmstepd: error: Detected 2 oom_kill events in StepId=1.0.", Framework::Slurm),
            (
                "failed (exitcode: -9) local_rank: 3 (pid: 11) of binary: /usr/bin/python",
                Framework::Torch,
            ),
            ("Last State: Terminated Reason: OOMKilled Exit Code: 137", Framework::Os),
            ("Task was killed due to the node running low on memory.", Framework::Ray),
            ("DataLoader worker (pid 7) is killed by signal: Killed.", Framework::Torch),
            ("Out of memory: Killed process 123 (python) total-vm:1kB", Framework::Os),
            ("run.sh: line 3: 4711 Killed python train.py", Framework::Os),
            ("exits with return code = -9", Framework::Os),
        ] {
            let found = recognise(message).expect(message);
            assert_eq!(found.memory.framework, Some(framework), "{message}");
        }
    }

    #[test]
    fn the_cpu_allocator_names_its_size() {
        let found =
            recognise("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes.")
                .unwrap();
        assert_eq!(found.memory.requested, Some(Bytes(4096)));
    }

    #[test]
    fn an_ordinary_exit_is_none() {
        assert_eq!(recognise("exit code 1"), None);
        assert_eq!(recognise("exitcode: 1"), None);
    }
}
