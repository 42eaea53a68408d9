//! What the process can hold, from the command line.

use clap::Args;
use oomscope_allocator::Capacity;
use oomscope_model::Bytes;

use super::size::size;

/// The memory of the device.
#[derive(Args)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceArguments {
    /// Memory of the device, as `24GiB` or `24576MiB`: `total_memory` of
    /// `torch.cuda.get_device_properties`. Without it, what the recording shows.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) capacity: Option<Bytes>,
    /// What the CUDA context takes of it.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "capacity")]
    pub(crate) context: Option<Bytes>,
    /// What other processes take of it.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "capacity")]
    pub(crate) others: Option<Bytes>,
}

impl DeviceArguments {
    /// The capacity that is asked for; `None` without `--capacity`.
    pub(crate) fn capacity(&self) -> Result<Option<Capacity>, String> {
        let Some(total) = self.capacity else { return Ok(None) };
        let taken = self.context.unwrap_or_default() + self.others.unwrap_or_default();
        match total.checked_sub(taken) {
            None | Some(Bytes::ZERO) => {
                Err(format!("nothing is left for the allocator: {taken} of {total} are taken"))
            }
            Some(available) => Ok(Some(Capacity { available: available.0, total: total.0 })),
        }
    }
}
