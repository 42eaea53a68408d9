//! What the driver says now, through NVML. An absent driver is said, not an error.

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use oomscope_model::{Bytes, DeviceProcess, LiveDevice, Problem};

/// Every device with who uses it, or why that cannot be had.
pub(crate) fn devices() -> Result<Vec<LiveDevice>, Problem> {
    read().map_err(|error| Problem {
        input: "--live".to_owned(),
        at: None,
        what: format!("no NVIDIA driver answers here: {error}"),
        hint: Some("run it on the machine that has the device".to_owned()),
    })
}

/// As PyTorch has it.
fn bare_uuid(uuid: &str) -> &str {
    uuid.strip_prefix("GPU-").unwrap_or(uuid)
}

fn read() -> Result<Vec<LiveDevice>, NvmlError> {
    let nvml = Nvml::init()?;
    (0..nvml.device_count()?)
        .map(|index| {
            let device = nvml.device_by_index(index)?;
            let memory = device.memory_info()?;
            let processes = device
                .running_compute_processes()?
                .into_iter()
                .map(|process| DeviceProcess {
                    pid: u64::from(process.pid),
                    bytes: match process.used_gpu_memory {
                        UsedGpuMemory::Used(bytes) => Some(Bytes(bytes)),
                        UsedGpuMemory::Unavailable => None,
                    },
                })
                .collect();
            Ok(LiveDevice {
                index,
                name: device.name()?,
                uuid: device.uuid().ok().map(|uuid| bare_uuid(&uuid).to_owned()),
                capacity: Bytes(memory.total),
                free: Bytes(memory.free),
                processes,
            })
        })
        .collect()
}
