//! Reads the environment variable's value by the rules of a release: what that release would
//! refuse is refused.

use thiserror::Error;

use super::{Backend, Settings};
use crate::release::Release;
use crate::rounding::{INTERVALS, LARGEST, MIN_LARGE_ALLOC};

/// Mebibytes above this would overflow; PyTorch cuts there too, at 2^64 bytes.
const LARGEST_MEBIBYTES: u64 = LARGEST >> 20;

/// Keys that do not change where blocks are placed, or only how host memory is.
const WITHOUT_EFFECT: [&str; 15] = [
    "release_lock_on_cudamalloc",
    "release_lock_on_hipmalloc",
    "pinned_use_cuda_host_register",
    "pinned_use_hip_host_register",
    "pinned_num_register_threads",
    "pinned_use_background_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_max_round_threshold_mb",
    "pinned_max_cached_size_mb",
    "pinned_free_catch_all",
    "graph_capture_record_stream_reuse",
    "throw_on_cudamalloc_oom",
    "expandable_segments_handle_type",
    "expandable_segments_reserve",
    "expandable_segments_reserve_by_class",
];

/// Why a text is not a value of `PYTORCH_CUDA_ALLOC_CONF`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A key that no release knows.
    #[error("PyTorch knows no allocator setting `{0}`")]
    UnknownKey(String),
    /// A key of a newer release.
    #[error("`{key}` needs PyTorch {since} or later, this is {release}")]
    TooNew {
        /// The key.
        key: &'static str,
        /// The first release that knows it.
        since: Release,
        /// The release that was asked for.
        release: Release,
    },
    /// Something else stands where a sign is expected.
    #[error("expected `{expected}` after `{after}`, found `{found}`")]
    Sign {
        /// The sign.
        expected: &'static str,
        /// What stands before it.
        after: String,
        /// What stands there.
        found: String,
    },
    /// A value that PyTorch refuses.
    #[error("`{key}` cannot be `{value}`: expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        expected: String,
    },
}

impl Settings {
    /// Reads a value of `PYTORCH_CUDA_ALLOC_CONF`, as `max_split_size_mb:128`, by the rules of
    /// `release`.
    pub fn parse(text: &str, release: Release) -> Result<Settings, SettingsError> {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0, release };
        let mut settings = Settings::default();
        while let Some(key) = reader.take() {
            reader.setting(key, &mut settings)?;
            if !reader.is_done() {
                reader.sign(",", key)?;
            }
        }
        let least = settings.large_segment_size >> 20;
        for (key, size) in [
            ("max_split_size_mb", settings.max_split_size),
            ("max_non_split_rounding_mb", Some(settings.max_non_split_rounding)),
        ] {
            let is_given = tokens.contains(&key);
            if let Some(size) = size.map(|size| size >> 20).filter(|_| is_given)
                && (size < least || (size == least && release <= Release::V2_9))
            {
                let than = if release <= Release::V2_9 { "more than" } else { "at least" };
                return Err(refused(key, &size.to_string(), &format!("{than} {least} MiB")));
            }
        }
        Ok(settings)
    }
}

/// Words and signs; blanks separate nothing, as in PyTorch.
fn tokens(text: &str) -> Vec<&str> {
    let is_sign = |c: char| matches!(c, ',' | ':' | '[' | ']');
    text.split_inclusive(is_sign)
        .flat_map(|piece| match piece.char_indices().next_back() {
            Some((at, last)) if is_sign(last) => [piece.get(..at), piece.get(at..)],
            _ => [Some(piece), None],
        })
        .flatten()
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .collect()
}

fn refused(key: &'static str, value: &str, expected: &str) -> SettingsError {
    SettingsError::Value { key, value: value.to_owned(), expected: expected.to_owned() }
}

struct Reader<'t> {
    tokens: &'t [&'t str],
    at: usize,
    release: Release,
}

impl<'t> Reader<'t> {
    fn setting(&mut self, key: &'t str, settings: &mut Settings) -> Result<(), SettingsError> {
        let newer = Release { major: 2, minor: 10 };
        match key {
            "backend" => {
                settings.backend = match self.value(key)? {
                    "native" => Backend::Native,
                    "cudaMallocAsync" | "hipMallocAsync" => Backend::CudaMallocAsync,
                    other => return Err(refused("backend", other, "native or cudaMallocAsync")),
                };
            }
            "expandable_segments" => {
                settings.expandable_segments = match self.value(key)? {
                    "True" => true,
                    "False" => false,
                    other => return Err(refused("expandable_segments", other, "True or False")),
                };
            }
            "max_split_size_mb" => {
                settings.max_split_size = Some(self.mebibytes("max_split_size_mb")?);
            }
            "max_non_split_rounding_mb" => {
                self.since("max_non_split_rounding_mb", Release { major: 2, minor: 5 })?;
                settings.max_non_split_rounding = self.mebibytes("max_non_split_rounding_mb")?;
            }
            "large_segment_size_mb" => {
                self.since("large_segment_size_mb", Release { major: 2, minor: 11 })?;
                let size = self.mebibytes("large_segment_size_mb")?;
                if size <= MIN_LARGE_ALLOC {
                    let value = (size >> 20).to_string();
                    return Err(refused("large_segment_size_mb", &value, "more than 10 MiB"));
                }
                settings.large_segment_size = size;
            }
            "garbage_collection_threshold" => {
                let share = self.share("garbage_collection_threshold")?;
                if share >= 1.0 {
                    let value = share.to_string();
                    let key = "garbage_collection_threshold";
                    return Err(refused(key, &value, "a number between 0 and 1"));
                }
                settings.garbage_collection_threshold = Some(share);
            }
            "per_process_memory_fraction" => {
                self.since("per_process_memory_fraction", newer)?;
                settings.memory_fraction = Some(self.share("per_process_memory_fraction")?);
            }
            "roundup_power2_divisions" => self.divisions(settings)?,
            other if WITHOUT_EFFECT.contains(&other) => self.skip(other)?,
            other => return Err(SettingsError::UnknownKey(other.to_owned())),
        }
        Ok(())
    }

    /// One number for all intervals, or a list as `[256:1,512:2,>:4]`.
    fn divisions(&mut self, settings: &mut Settings) -> Result<(), SettingsError> {
        const KEY: &str = "roundup_power2_divisions";
        let divisions = &mut settings.rounding.divisions;
        let first = self.value(KEY)?;
        if first != "[" {
            divisions.fill(power_of_two(first, KEY)?);
            return Ok(());
        }
        let mut last = None;
        loop {
            let interval = self.word(KEY)?;
            if interval == "]" {
                return Ok(());
            }
            self.sign(":", interval)?;
            let value = match self.word(KEY)? {
                "0" => 0,
                other => power_of_two(other, KEY)?,
            };
            if interval == ">" {
                // Up to 2.9 it also overwrites the interval that was named last.
                let from = match last {
                    Some(last) if self.release > Release::V2_9 => last + 1,
                    Some(last) => last,
                    None => 0,
                };
                divisions.iter_mut().skip(from).for_each(|divisions| *divisions = value);
            } else {
                let mebibytes: u64 = number(interval, KEY)?;
                if !mebibytes.is_power_of_two() {
                    return Err(refused(KEY, interval, "intervals that are powers of two"));
                }
                let index = (mebibytes.ilog2() as usize).min(INTERVALS - 1);
                if last.is_none() {
                    divisions.iter_mut().take(index).for_each(|divisions| *divisions = value);
                }
                if let Some(divisions) = divisions.get_mut(index) {
                    *divisions = value;
                }
                last = Some(index);
            }
            match self.word(KEY)? {
                "," => {}
                "]" => return Ok(()),
                found => return Err(expected(",", interval, found)),
            }
        }
    }

    fn mebibytes(&mut self, key: &'static str) -> Result<u64, SettingsError> {
        let mebibytes: u64 = number(self.value(key)?, key)?;
        Ok(mebibytes.min(LARGEST_MEBIBYTES) << 20)
    }

    fn share(&mut self, key: &'static str) -> Result<f64, SettingsError> {
        let value = self.value(key)?;
        match value.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
            _ => Err(refused(key, value, "a number between 0 and 1")),
        }
    }

    fn since(&self, key: &'static str, since: Release) -> Result<(), SettingsError> {
        if self.release < since {
            return Err(SettingsError::TooNew { key, since, release: self.release });
        }
        Ok(())
    }

    fn value(&mut self, key: &str) -> Result<&'t str, SettingsError> {
        self.sign(":", key)?;
        self.word(key)
    }

    /// Skips a value, be it a list.
    fn skip(&mut self, key: &str) -> Result<(), SettingsError> {
        if self.value(key)? == "[" {
            while self.word(key)? != "]" {}
        }
        Ok(())
    }

    fn word(&mut self, after: &str) -> Result<&'t str, SettingsError> {
        self.take().ok_or_else(|| expected("a value", after, "the end"))
    }

    fn sign(&mut self, sign: &'static str, after: &str) -> Result<(), SettingsError> {
        match self.take() {
            Some(found) if found == sign => Ok(()),
            Some(found) => Err(expected(sign, after, found)),
            None => Err(expected(sign, after, "the end")),
        }
    }

    fn take(&mut self) -> Option<&'t str> {
        let token = self.tokens.get(self.at).copied();
        self.at += usize::from(token.is_some());
        token
    }

    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }
}

fn expected(sign: &'static str, after: &str, found: &str) -> SettingsError {
    SettingsError::Sign { expected: sign, after: after.to_owned(), found: found.to_owned() }
}

fn number(text: &str, key: &'static str) -> Result<u64, SettingsError> {
    text.parse().map_err(|_| refused(key, text, "a whole number"))
}

fn power_of_two(text: &str, key: &'static str) -> Result<u16, SettingsError> {
    let value: u16 = text.parse().map_err(|_| refused(key, text, "a power of two"))?;
    if value.is_power_of_two() { Ok(value) } else { Err(refused(key, text, "a power of two")) }
}

#[cfg(test)]
mod tests {
    use super::SettingsError;
    use crate::release::Release;
    use crate::settings::{Backend, Settings};

    fn parse(text: &str, release: Release) -> Settings {
        Settings::parse(text, release).expect("a good value")
    }

    #[test]
    fn every_setting_that_matters_is_read() {
        let text = "expandable_segments:True, max_split_size_mb:128,garbage_collection_threshold:0.6,\
                    max_non_split_rounding_mb:64,large_segment_size_mb:30,backend:native,\
                    pinned_num_register_threads:8,per_process_memory_fraction:0.5,";
        let settings = parse(text, Release::NEWEST);
        assert!(settings.expandable_segments);
        assert_eq!(settings.max_split_size, Some(128 << 20));
        assert_eq!(settings.max_non_split_rounding, 64 << 20);
        assert_eq!(settings.large_segment_size, 30 << 20);
        assert_eq!(settings.garbage_collection_threshold, Some(0.6));
        assert_eq!(settings.memory_fraction, Some(0.5));
        assert_eq!(parse("", Release::V2_4), Settings::default());
        assert_eq!(
            parse("backend:cudaMallocAsync", Release::V2_4).backend,
            Backend::CudaMallocAsync
        );
    }

    #[test]
    fn a_printed_setting_reads_as_itself() {
        for text in
            ["", "expandable_segments:True,max_split_size_mb:128", "roundup_power2_divisions:4"]
        {
            assert_eq!(parse(text, Release::V2_9).to_string(), text);
        }
        for list in ["256:2,512:4,>:8", "1:0,2:4", "32768:8", "1:2,>:4", "64:8,256:4,512:2,>:1"] {
            for release in [Release::V2_9, Release::NEWEST] {
                let listed = parse(&format!("roundup_power2_divisions:[{list}]"), release);
                assert_eq!(parse(&listed.to_string(), release), listed, "{listed}");
            }
        }
        let listed = parse("roundup_power2_divisions:[256:2,512:4,1024:8,>:1]", Release::V2_9);
        assert_eq!(listed.to_string(), "roundup_power2_divisions:[256:2,512:4,1024:1,>:1]");
    }

    #[test]
    fn the_rest_of_a_list_overwrites_the_last_interval_up_to_2_9() {
        // Seen in `allocator_settings` of snapshots that 2.4.1, 2.6.0, 2.9.1 and 2.15.0 wrote.
        let text = "roundup_power2_divisions:[256:2,512:4,1024:8,>:1]";
        let old = [2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 1, 1, 1, 1, 1, 1];
        let new = [2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 8, 1, 1, 1, 1, 1];
        for release in [Release::V2_4, Release::V2_6, Release::V2_9] {
            assert_eq!(parse(text, release).rounding.divisions, old, "{release}");
        }
        assert_eq!(parse(text, Release::NEWEST).rounding.divisions, new);
        let gap = parse("roundup_power2_divisions:[2:4,4:8]", Release::V2_6);
        assert_eq!(gap.rounding.divisions.get(..4), Some([4, 4, 8, 0].as_slice()));
    }

    #[test]
    fn what_pytorch_refuses_is_refused() {
        for (text, release) in [
            ("bogus:1", Release::NEWEST),
            ("max_split_size_mb:20", Release::V2_9),
            ("max_split_size_mb:10", Release::NEWEST),
            ("max_split_size_mb:64,large_segment_size_mb:100", Release::NEWEST),
            ("large_segment_size_mb:3", Release::NEWEST),
            ("large_segment_size_mb:64", Release::V2_9),
            ("max_non_split_rounding_mb:64", Release::V2_4),
            ("roundup_power2_divisions:[64:3]", Release::NEWEST),
            ("roundup_power2_divisions:[3:4]", Release::NEWEST),
            ("roundup_power2_divisions:[64:2", Release::NEWEST),
            ("garbage_collection_threshold:1", Release::V2_9),
            ("garbage_collection_threshold:nan", Release::V2_9),
            ("expandable_segments:true", Release::V2_9),
            ("expandable_segments", Release::V2_9),
            ("expandable_segments:True max_split_size_mb:30", Release::V2_9),
            ("max_split_size_mb:99999999999999999999", Release::V2_9),
            ("backend:magic", Release::V2_9),
        ] {
            assert!(Settings::parse(text, release).is_err(), "{text} under {release}");
        }
        let error = Settings::parse("max_non_split_rounding_mb:64", Release::V2_4).unwrap_err();
        assert!(matches!(error, SettingsError::TooNew { .. }));
        assert!(Settings::parse("max_split_size_mb:20", Release::NEWEST).is_ok());
    }
}
