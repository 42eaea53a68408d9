//! Why a judgement came out as it did: typed for machines, in words for people.

use std::fmt;

use oomscope_model::Bytes;

/// One thing that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// Memory ran out.
    RanOut,
    /// The floor is the same to the byte, so many times since a step.
    FloorReturns {
        /// The first time.
        since: u64,
        /// How many times.
        times: usize,
    },
    /// The floor shows no trend; at most so much a step cannot be ruled out.
    FloorWithoutTrend {
        /// Since which step.
        since: u64,
        /// Bytes a step, the end of the 95 % interval.
        at_most: f64,
    },
    /// The floor rose so many times, each upon the last.
    FloorRises {
        /// Since which step.
        since: u64,
        /// How many times.
        times: usize,
    },
    /// The floor rises among its noise.
    FloorTrend {
        /// Since which step.
        since: u64,
        /// Kendall's statistic in standard deviations.
        deviations: f64,
    },
    /// The floor is flat, the peaks within the steps rise.
    PeakRises {
        /// Since which step.
        since: u64,
    },
    /// The running maximum of the peaks has not risen since a step.
    PeakFlatAfter {
        /// The step that set it.
        step: u64,
        /// The maximum.
        peak: Bytes,
    },
    /// The running maximum of the peaks rose too recently to call it settled.
    PeakStillMoving {
        /// The step that set it.
        step: u64,
    },
    /// What repeats, such as an evaluation, a checkpoint or an epoch.
    Repeats {
        /// Every so many steps.
        steps: u64,
    },
    /// Reserved memory rises over flat allocated memory: fragmentation.
    ReservedRises {
        /// Bytes a step.
        bytes_per_step: f64,
    },
    /// Neither flat nor growing is shown.
    NotSettled {
        /// How many more steps may settle it.
        more: u64,
    },
    /// Growth that cannot be ruled out would reach the capacity within ten times this run.
    TooNearCapacity,
    /// No step was recorded.
    NoSteps,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::RanOut => write!(f, "memory ran out"),
            Reason::FloorReturns { since, times } => write!(
                f,
                "memory at a step's end came back to the same byte {times} times since step {since}"
            ),
            Reason::FloorWithoutTrend { since, at_most } if *at_most <= 0.0 => {
                write!(f, "memory at a step's end does not rise since step {since} (95 %)")
            }
            Reason::FloorWithoutTrend { since, at_most } => write!(
                f,
                "memory at a step's end shows no trend since step {since}; more than {} a step is ruled out (95 %)",
                rate(*at_most)
            ),
            Reason::FloorRises { since, times } => write!(
                f,
                "memory at a step's end rose {times} times since step {since} and never came back"
            ),
            Reason::FloorTrend { since, deviations } => write!(
                f,
                "memory at a step's end rises since step {since}, {deviations:.1} standard deviations above chance"
            ),
            Reason::PeakRises { since } => {
                write!(f, "the peaks within the steps rise since step {since}")
            }
            Reason::PeakFlatAfter { step, peak } => {
                write!(
                    f,
                    "the highest peak, {peak}, was reached at step {step} and not passed since"
                )
            }
            Reason::PeakStillMoving { step } => {
                write!(f, "the highest peak was set as late as step {step}")
            }
            Reason::Repeats { steps } => write!(f, "a pattern repeats every {steps} steps"),
            Reason::ReservedRises { bytes_per_step } => write!(
                f,
                "reserved memory rises by {} a step over flat allocated memory: fragmentation",
                rate(*bytes_per_step)
            ),
            Reason::NotSettled { more } => {
                write!(
                    f,
                    "neither flat nor growing is shown; about {more} more steps may settle it"
                )
            }
            Reason::TooNearCapacity => write!(
                f,
                "growth that cannot be ruled out would reach the capacity within ten times this run"
            ),
            Reason::NoSteps => write!(f, "no step was recorded"),
        }
    }
}

fn rate(bytes_per_step: f64) -> Bytes {
    Bytes(bytes_per_step.max(0.0).ceil() as u64)
}
