//! Sizes as people write them: `24GiB`, `24GB`, `24576MiB`, `1.5 GiB`, `25769803776`.

use oomscope_model::Bytes;

/// Reads a size. Units are powers of 1024 however they are spelt: a 24GB GPU has 24 GiB, and
/// PyTorch's messages mean the same.
pub(crate) fn size(text: &str) -> Result<Bytes, String> {
    let wrong = || format!("`{text}` is no size: a number with KiB, MiB, GiB or TiB, as 24GiB");
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at_checked(split).ok_or_else(wrong)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number = number.trim_end();
    if let Ok(bare @ 1..1024) = trimmed.parse::<u64>() {
        return Err(format!("`{text}` names no unit: as {bare}GiB, or {bare}B for bytes"));
    }
    if let Ok(whole) = number.parse::<u64>() {
        let bytes = whole.checked_mul(scale).filter(|bytes| *bytes <= MOST);
        return bytes.map(Bytes).ok_or_else(|| format!("`{text}` is more than any device has"));
    }
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>() {
        Ok(number) if is_decimal => {
            let bytes = number * scale as f64;
            if bytes > MOST as f64 {
                return Err(format!("`{text}` is more than any device has"));
            }
            Ok(Bytes(bytes.round() as u64))
        }
        _ => Err(wrong()),
    }
}

/// 1 PiB.
const MOST: u64 = 1 << 50;

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("24GiB", 24 << 30),
            ("24GB", 24 << 30),
            ("24g", 24 << 30),
            ("24576MiB", 24 << 30),
            ("1.5GiB", 3 << 29),
            ("1.5 GiB", 3 << 29),
            ("1024", 1024),
            ("0", 0),
            (" 512 kb ", 512 << 10),
        ] {
            assert_eq!(size(text).map(|size| size.0), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "GiB", "-1GiB", "1e9", "inf", "nan", "1.2.3GiB", "24 parsecs", "1,5GiB", "0x10"]
        {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["99999999999999999999", "99999999TiB", "18446744073709551615GiB"] {
            assert!(size(text).is_err_and(|error| error.contains("any device")), "{text}");
        }
    }
}
