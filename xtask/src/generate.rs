//! `generate`: a made-up snapshot of any size, to see how time and memory grow with a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};
use oomscope_snapshot::fixture::{Recording, USUAL_DEPTH, write_recording};

/// Entries that are measured to tell how many make a file of a wanted size.
const SAMPLE: u64 = 200_000;

/// How long the recording is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Entries(u64),
    Bytes(u64),
}

pub(crate) fn run(file: &str, options: &[&str]) -> Result<()> {
    let (length, mut recording) = parse(options)?;
    recording.entries = match length {
        Length::Entries(entries) => entries,
        Length::Bytes(bytes) => entries_of(bytes, recording)?,
    };
    let out = File::create(file).with_context(|| format!("cannot write {file}"))?;
    let mut out = BufWriter::new(out);
    write_recording(recording, &mut out)?;
    out.flush().with_context(|| format!("cannot write {file}"))?;
    println!("{file}: {} entries", recording.entries);
    Ok(())
}

fn parse(options: &[&str]) -> Result<(Length, Recording)> {
    let mut length = None;
    let mut recording = Recording { entries: 0, seed: 1, depth: USUAL_DEPTH };
    for pair in options.chunks(2) {
        let &[option, value] = pair else { bail!("{} needs a value", pair.join(" ")) };
        match option {
            "--entries" => length = Some(Length::Entries(number(value)?)),
            "--bytes" => length = Some(Length::Bytes(number(value)?)),
            "--seed" => recording.seed = number(value)?,
            "--depth" => recording.depth = u32::try_from(number(value)?)?,
            _ => bail!("unknown option `{option}`"),
        }
    }
    let Some(length) = length else { bail!("say how long: --bytes 2GB or --entries 20M") };
    Ok((length, recording))
}

/// `20M`, `2GB`, `100000`; powers of ten.
fn number(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G', 'B']);
    let factor = match text[digits.len()..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        unit => bail!("unknown unit `{unit}` in `{text}`"),
    };
    let number: u64 = digits.parse().with_context(|| format!("`{text}` is no number"))?;
    number.checked_mul(factor).with_context(|| format!("`{text}` is too large"))
}

/// How many entries make a file of so many bytes.
fn entries_of(bytes: u64, recording: Recording) -> Result<u64> {
    let mut counted = Counted(0);
    write_recording(Recording { entries: SAMPLE, ..recording }, &mut counted)?;
    let entries = u128::from(bytes) * u128::from(SAMPLE) / u128::from(counted.0.max(1));
    Ok(u64::try_from(entries)?)
}

/// Counts what is written to it.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Length, number, parse};

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [("20M", 20_000_000), ("2GB", 2_000_000_000), ("7", 7)] {
            assert_eq!(number(text).expect(text), expected);
        }
        assert!(number("2TB").is_err());
    }

    #[test]
    fn a_length_is_needed() {
        assert!(parse(&["--seed", "2"]).is_err());
        let (length, recording) = parse(&["--entries", "5", "--seed", "2"]).expect("it is whole");
        assert_eq!((length, recording.seed), (Length::Entries(5), 2));
    }
}
