//! Watches the devices from outside, through NVML, while a command runs: who else is on them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::directory::seconds;
use crate::live;

const PERIOD: Duration = Duration::from_secs(1);

/// A file that is fuller becomes the old one, and the one that was old goes.
const FULL: u64 = 16 << 20;

/// The samples, and the ones before them.
pub(super) const FILES: [&str; 2] = ["devices.jsonl", "devices-old.jsonl"];

/// A sampler that stops when it is dropped.
pub(super) struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to write `devices.jsonl`; where no driver answers, nothing is written.
pub(super) fn start(run: &Path) -> Sampler {
    let [path, old] = FILES.map(|name| run.join(name));
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        loop {
            let Ok(devices) = live::devices() else { return };
            let devices: Vec<_> = devices
                .iter()
                .map(|device| {
                    let processes: Vec<_> = device
                        .processes
                        .iter()
                        .map(|p| json!({"pid": p.pid, "used": p.bytes.map(|bytes| bytes.0)}))
                        .collect();
                    json!({
                        "device": device.index, "name": device.name, "uuid": device.uuid,
                        "total": device.capacity.0, "free": device.free.0,
                        "processes": processes,
                    })
                })
                .collect();
            let line = json!({"t": seconds(SystemTime::now()), "devices": devices});
            if append(&path, &old, &format!("{line}\n")).is_err() {
                return;
            }
            match stopped.recv_timeout(PERIOD) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    Sampler { stop: Some(stop), thread: Some(thread) }
}

fn append(path: &Path, old: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    if file.metadata()?.len() > FULL {
        std::fs::rename(path, old)?;
    }
    Ok(())
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
