//! Sizes as programs print them, to bytes. Every library read here divides by 1024, whatever its
//! unit is called: PyTorch's `format_size` (CUDA, MPS), Paddle's `HumanReadableSize`, Ray's and
//! XLA's printers.

use std::sync::LazyLock;

use oomscope_model::Bytes;
use regex::Regex;

use super::ascii;

/// A size as a pattern without capture groups: `14.75 GiB`, `30.55GiB`, `1,024 bytes`.
pub(crate) const SIZE: &str = r"[0-9][0-9,]*(?:\.[0-9]+)?\s*(?:bytes?\b|[KMGTPE]?i?B\b|[KMGT]\b)";

static PARTS: LazyLock<Regex> =
    LazyLock::new(|| ascii::compile(r"^\s*([0-9][0-9,]*(?:\.[0-9]+)?)\s*([A-Za-z]*)"));

/// From here up a figure cannot be memory: it is `-1` or an underflow printed as unsigned, as in
/// `17179869184.00 GiB` (2⁶⁴ bytes).
const ABSURD: f64 = 9_223_372_036_854_775_808.0;

/// `14.75 GiB` to bytes; `None` for what is no size or cannot be one.
pub(crate) fn size(text: &str) -> Option<Bytes> {
    let parts = PARTS.captures(text)?;
    let number = number(parts.get(1)?.as_str())?;
    let unit = parts.get(2)?.as_str().to_ascii_lowercase();
    let scale: u64 = match unit.as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        "e" | "eb" | "eib" => 1 << 60,
        _ => return None,
    };
    let bytes = number * scale as f64;
    (bytes.is_finite() && bytes < ABSURD).then(|| Bytes(bytes.round() as u64))
}

/// `1,024` groups its thousands, `1900,00` is how half of Europe prints a decimal.
fn number(digits: &str) -> Option<f64> {
    let is_decimal = !digits.contains('.')
        && digits.matches(',').count() == 1
        && digits.rsplit(',').next().is_some_and(|last| last.len() != 3);
    digits.replace(',', if is_decimal { "." } else { "" }).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::size;
    use oomscope_model::Bytes;

    #[test]
    fn sizes_are_read_in_every_spelling() {
        for (text, bytes) in [
            ("20.00 MiB", 20 << 20),
            ("1.5GiB", 3 << 29),
            ("0 bytes", 0),
            ("1,024 bytes", 1024),
            ("640,50 MiB", 671_612_928),
            ("2,147,483,648 bytes", 2 << 30),
            ("192.00 MB", 192 << 20),
            ("3.125000GB", 3_355_443_200),
            ("18.75G", 20_132_659_200),
            ("292926534144", 292_926_534_144),
        ] {
            assert_eq!(size(text), Some(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn an_underflow_is_not_a_size() {
        assert_eq!(size("17179869184.00 GiB"), None);
        assert_eq!(size("X GiB"), None);
        assert_eq!(size("3.0 apples"), None);
    }
}
