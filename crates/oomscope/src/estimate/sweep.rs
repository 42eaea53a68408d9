//! `--sweep NAME=VALUES`: the same estimate over several sizes.

use anyhow::{Result, anyhow, bail};
use oomscope_budget::Workload;
use oomscope_model::Bytes;
use oomscope_report::estimate::{EstimateReport, SweepPoint, SweepReport};

/// A size and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    size: &'static str,
    values: Vec<u64>,
}

/// No sweep has more points.
const MOST_POINTS: usize = 100_000;

/// Reads `batch=1,2,4` or `seq=512..8192`, which doubles.
pub(super) fn sweep(text: &str) -> Result<Sweep> {
    let wrong = || anyhow!("`{text}` is no sweep: as batch=1,2,4 or seq=512..8192 (which doubles)");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let size = ["batch", "seq", "lora-rank"].into_iter().find(|known| *known == name);
    let size = size.ok_or_else(|| anyhow!("`{name}` is none of batch, seq, lora-rank"))?;
    let number = |text: &str| {
        let number: Option<u64> = text.trim().parse().ok();
        number.filter(|number| (1..=1 << 28).contains(number)).ok_or_else(wrong)
    };
    let values = if let Some((from, to)) = values.split_once("..") {
        let (from, to) = (number(from)?, number(to)?);
        std::iter::successors(Some(from), |value| value.checked_mul(2))
            .take_while(|value| *value <= to)
            .collect()
    } else {
        values.split(',').map(number).collect::<Result<Vec<u64>>>()?
    };
    if values.is_empty() {
        return Err(wrong());
    }
    Ok(Sweep { size, values })
}

/// With more points than that, reserved memory is a share of what is allocated, not replayed.
const MOST_REPLAYED: usize = 1_000;

/// Estimates every combination; `estimate` makes the report of one workload, and is told whether
/// there is time to replay it.
pub(super) fn run(
    sweeps: &[Sweep],
    workload: &Workload,
    estimate: impl Fn(Workload, bool) -> EstimateReport,
) -> Result<SweepReport> {
    if sweeps.len() > 2 {
        bail!("at most two sizes can be swept");
    }
    if sweeps.iter().any(|sweep| sweep.size == "lora-rank") && workload.adapters.is_none() {
        bail!("a sweep over lora-rank needs adapters\nhint: add --lora 16");
    }
    let mut combinations: Vec<Vec<u64>> = vec![Vec::new()];
    for sweep in sweeps {
        combinations = combinations
            .iter()
            .flat_map(|before| {
                sweep.values.iter().map(|value| before.iter().copied().chain([*value]).collect())
            })
            .collect();
        if combinations.len() > MOST_POINTS {
            bail!("the sweep has more than {MOST_POINTS} points");
        }
    }
    let replays = combinations.len() <= MOST_REPLAYED;
    let points = combinations.into_iter().map(|values| {
        let mut workload = workload.clone();
        for (sweep, value) in sweeps.iter().zip(&values) {
            match (sweep.size, &mut workload.adapters) {
                ("batch", _) => workload.batch = *value,
                ("seq", _) => workload.sequence = *value,
                (_, Some(adapters)) => adapters.rank = *value,
                (_, None) => {}
            }
        }
        let report = estimate(workload, replays);
        SweepPoint {
            values,
            allocated: Bytes(report.budget.allocated.likely),
            process: report.process(),
            fit: report.fit(),
        }
    });
    let sizes = sweeps.iter().map(|sweep| sweep.size).collect();
    Ok(SweepReport { sizes, points: points.collect() })
}
