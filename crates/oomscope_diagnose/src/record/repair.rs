//! Makes Python's JSON readable where it is not quite JSON: a file name that is not UTF-8 becomes
//! a lone surrogate escape, which no Rust string can hold.

/// The line with lone surrogate escapes replaced by U+FFFD's, or `None` when it has none.
pub(super) fn lone_surrogates(line: &str) -> Option<String> {
    let mut mended = String::new();
    let mut rest = line;
    let mut found = false;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                found = true;
                mended.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            // A backslash and what it escapes, which may be a backslash.
            (None, _) => escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end),
        };
        let (whole, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        mended.push_str(whole);
        rest = after;
    }
    mended.push_str(rest);
    found.then_some(mended)
}

enum Half {
    High,
    Low,
}

/// Which half of a pair an escape at the start of `text` is.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::lone_surrogates;

    #[test]
    fn only_lone_halves_are_replaced() {
        for (line, mended) in [
            (r#""plain""#, None),
            (r#""\ud83d\ude00""#, None),
            (r#""\\udc80""#, None),
            (r#""a\udc80b""#, Some(r#""a\ufffdb""#)),
            (r#""\ud83dx""#, Some(r#""\ufffdx""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ud8"#, None),
            ("\\", None),
        ] {
            assert_eq!(lone_surrogates(line).as_deref(), mended, "{line}");
        }
    }
}
