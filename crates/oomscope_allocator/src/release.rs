//! The releases of PyTorch whose allocators are told apart.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A PyTorch release, as far as its allocator differs from the others'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// `2` of `2.9`.
    pub major: u16,
    /// `9` of `2.9`.
    pub minor: u16,
}

impl Release {
    /// The oldest release whose allocator was compared with the model, event by event.
    pub const V2_4: Release = Release { major: 2, minor: 4 };
    /// Compared with the model.
    pub const V2_6: Release = Release { major: 2, minor: 6 };
    /// Compared with the model.
    pub const V2_9: Release = Release { major: 2, minor: 9 };
    /// The last release that breaks ties by address.
    pub const V2_11: Release = Release { major: 2, minor: 11 };
    /// The release that breaks ties by the age of blocks; later ones by that of segments.
    pub const V2_12: Release = Release { major: 2, minor: 12 };
    /// The newest release that was compared with the model.
    pub const NEWEST: Release = Release { major: 2, minor: 15 };
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that names no release.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no PyTorch release, expected one like 2.9 or 2.9.1")]
pub struct ReleaseError(pub String);

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `2.9`, `2.9.1`, `2.9.1+cu128`, `v2.9`.
    fn from_str(text: &str) -> Result<Release, ReleaseError> {
        let number = text.trim().trim_start_matches('v');
        let number = number.split(['+', '-']).next().unwrap_or_default();
        let mut parts = number.split('.').map(str::parse::<u16>);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), None | Some(Ok(_))) if parts.next().is_none() => {
                Ok(Release { major, minor })
            }
            _ => Err(ReleaseError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn a_release_is_read_as_people_write_it() {
        for text in ["2.9", "2.9.1", " v2.9.0+cu128", "2.9.1-rc1"] {
            assert_eq!(text.parse(), Ok(Release::V2_9), "{text}");
        }
        for text in ["", "2", "two", "2.9.1.4", "2.x", "99999.1"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
        assert!(Release::V2_9 < Release::NEWEST);
    }
}
