//! Any text as allocator settings. See `README.md` for how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_allocator::{Release, Settings};

fuzz_target!(|bytes: &[u8]| {
    let Some((release, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let release = Release { major: 2, minor: u16::from(*release) % 20 };
    let _ = text.parse::<Release>();
    let Ok(settings) = Settings::parse(text, release) else { return };
    let printed = settings.to_string();
    assert_eq!(Settings::parse(&printed, release), Ok(settings), "{text} prints as {printed}");
});
