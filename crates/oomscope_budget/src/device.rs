//! Devices by name: what of their memory a process can have (`tables/devices.json`).

use std::sync::LazyLock;

use serde::Deserialize;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// Its name: `a100-80gb`.
    pub name: String,
    /// Other names, of cloud instances too.
    aliases: Vec<String>,
    /// What the driver reports as its memory, in MiB.
    capacity_mib: u64,
    /// What a CUDA context takes of it, least and most, in MiB.
    context_mib: [u64; 2],
    /// `8.0`.
    pub compute_capability: String,
    /// One cuBLAS workspace, in bytes.
    pub cublas_workspace_bytes: u64,
}

#[derive(Deserialize)]
struct Table {
    devices: Vec<Device>,
}

static TABLE: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let table: Result<Table, _> = serde_json::from_str(include_str!("../tables/devices.json"));
    table.map(|table| table.devices).unwrap_or_default()
});

impl Device {
    /// What the driver reports as its memory, in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity_mib << 20
    }

    /// What a CUDA context takes of it: least and most, in bytes.
    pub fn context(&self) -> (u64, u64) {
        let [least, most] = self.context_mib;
        (least << 20, most << 20)
    }
}

/// Every device, in the order of the table: within a generation from small to large.
pub fn devices() -> &'static [Device] {
    &TABLE
}

/// The device of a name; case, punctuation, the maker, and a socket or a memory size that add
/// nothing (`Tesla T4 16GB`, `A100-SXM4-80GB`) do not matter.
pub fn device(name: &str) -> Option<&'static Device> {
    let wanted = letters(name);
    let known = |wanted: &str| {
        let is_named = |device: &&Device| {
            std::iter::once(&device.name).chain(&device.aliases).any(|own| letters(own) == wanted)
        };
        TABLE.iter().find(is_named)
    };
    known(&wanted).or_else(|| {
        let lower = name.to_ascii_lowercase();
        let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
        let mut words: Vec<&str> = words.filter(|word| !SOCKETS.contains(word)).collect();
        if let Some(device) = known(&letters(&words.concat())) {
            return Some(device);
        }
        let gigabytes: u64 = words.pop()?.strip_suffix("gb")?.parse().ok()?;
        let found = known(&letters(&words.concat()))?;
        // A size in the name must be the device's own, with what its error correction takes.
        let own = found.capacity_mib.div_ceil(1024);
        (own <= gigabytes && gigabytes - own <= gigabytes / 12).then_some(found)
    })
}

/// How a device is mounted.
const SOCKETS: [&str; 5] = ["sxm2", "sxm4", "sxm5", "sxm", "pcie"];

/// A name without case, punctuation and the maker.
fn letters(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let lower = ["nvidia", "geforce", "tesla"].iter().fold(lower, |name, s| name.replace(s, ""));
    lower.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::{device, devices};

    #[test]
    fn every_device_is_found_by_its_name_and_has_room() {
        assert!(devices().len() >= 40);
        for known in devices() {
            assert_eq!(device(&known.name).map(|found| &found.name), Some(&known.name));
            assert!(known.capacity() > known.context().1);
            assert!(known.context().0 <= known.context().1);
        }
        assert_eq!(device("NVIDIA A100-80GB").map(|d| d.name.as_str()), Some("a100-80gb"));
        assert_eq!(device("RTX 4090").map(|d| d.name.as_str()), Some("rtx-4090"));
        assert_eq!(device("Tesla T4 16GB").map(|d| d.name.as_str()), Some("t4"));
        assert_eq!(device("A100-SXM4-80GB").map(|d| d.name.as_str()), Some("a100-80gb"));
        assert_eq!(device("T4 80GB"), None);
        assert_eq!(device("gtx-1"), None);
    }
}
