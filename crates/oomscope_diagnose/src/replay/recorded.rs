//! A device's trace beside the model, under the settings that it was recorded with.

use oomscope_allocator::{Followed, Release, Settings, SettingsError, Setup, follow_with_cap};
use oomscope_model::DeviceId;
use oomscope_snapshot::{Snapshot, history};

use crate::replay::DeviceTrace;
use crate::replay::setup::{releases_of, settings_of, start_of};

/// A trace that was run beside the model.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The release whose rules were used: given, told from the file's keys, or, where several
    /// write the same keys, the one whose rules agree.
    pub release: Release,
    /// Whether the release was given, rather than told from the file.
    pub is_release_given: bool,
    /// The settings.
    pub settings: Settings,
    /// What is wrong with the recorded settings.
    pub unread_settings: Option<SettingsError>,
    /// Whether the trace begins with an empty allocator: it then has the whole run.
    pub is_complete: bool,
    /// The process's own cap, bytes, where garbage collection shows it.
    pub allowed: Option<u64>,
    /// What the model makes of it.
    pub followed: Followed,
}

/// Runs the model beside a device's trace. `release` overrides what the file tells.
///
/// # Panics
///
/// Never: there is always a release to try.
pub fn follow_recorded(
    snapshot: &Snapshot,
    device: DeviceId,
    release: Option<Release>,
) -> Recorded {
    follow_trace(snapshot, device, &DeviceTrace::new(snapshot, device), release)
}

/// Runs the model beside a part of a device's trace that begins where it begins.
pub(super) fn follow_trace(
    snapshot: &Snapshot,
    device: DeviceId,
    trace: &DeviceTrace<'_>,
    release: Option<Release>,
) -> Recorded {
    let is_release_given = release.is_some();
    let candidates = release.map_or_else(|| releases_of(snapshot), |release| vec![release]);
    let start = start_of(&history(snapshot, device));
    let mut best: Option<Recorded> = None;
    for release in candidates {
        let (settings, unread_settings) = settings_of(snapshot, release);
        let setup = Setup { settings: settings.clone(), release, allowed: None, start: &start };
        let (followed, allowed) = follow_with_cap(trace, &setup);
        let until = |followed: &Followed| followed.divergence.map(|divergence| divergence.event);
        let is_better = match best.as_ref().map(|best| until(&best.followed)) {
            None => true,
            Some(before) => match (until(&followed), before) {
                (None, Some(_)) => true,
                (Some(event), Some(before)) => event > before,
                _ => false,
            },
        };
        if is_better {
            let agrees = followed.divergence.is_none();
            best = Some(Recorded {
                release,
                is_release_given,
                settings,
                unread_settings,
                is_complete: start.is_empty(),
                allowed,
                followed,
            });
            if agrees {
                break;
            }
        }
    }
    best.expect("there is a candidate")
}
