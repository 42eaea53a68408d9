//! The few opcodes of pickle protocol 4 that a snapshot needs, in frames of 64 KiB as Python's
//! pickler cuts them. It buffers one frame and remembers what it stored, never what it wrote.

use std::collections::HashMap;
use std::io;

use rustc_hash::FxHashMap;

/// Python's `_FRAME_SIZE_TARGET`.
const FRAME_SIZE: usize = 64 << 10;

/// Whether containers that nothing refers to are stored too, as Python does: it cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memo {
    /// Only what is written again: smaller, and faster to load.
    WhatRecurs,
    /// Every container and string.
    Everything,
}

/// Writes one pickle. `'t` is the life of the texts that are written.
pub(crate) struct Pickler<'o, 't> {
    out: &'o mut dyn io::Write,
    frame: Vec<u8>,
    memo: Memo,
    /// Objects stored so far.
    stored: u32,
    words: FxHashMap<&'static str, u32>,
    // Keyed with random state: the strings are an input's own.
    texts: HashMap<&'t str, u32>,
}

impl<'o, 't> Pickler<'o, 't> {
    pub(crate) fn new(out: &'o mut dyn io::Write, memo: Memo) -> io::Result<Pickler<'o, 't>> {
        out.write_all(&[0x80, 4])?;
        Ok(Pickler {
            out,
            frame: Vec::with_capacity(FRAME_SIZE + (FRAME_SIZE >> 2)),
            memo,
            stored: 0,
            words: FxHashMap::default(),
            texts: HashMap::new(),
        })
    }

    /// Ends the pickle.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.frame.push(b'.');
        self.write_frame()
    }

    /// Between two objects: a frame that is full goes out.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.frame.len() < FRAME_SIZE { Ok(()) } else { self.write_frame() }
    }

    fn write_frame(&mut self) -> io::Result<()> {
        self.out.write_all(&[0x95])?;
        self.out.write_all(&(self.frame.len() as u64).to_le_bytes())?;
        self.out.write_all(&self.frame)?;
        self.frame.clear();
        Ok(())
    }

    /// `MEMOIZE`: the object written last can be referred to by the result.
    pub(crate) fn store(&mut self) -> u32 {
        self.frame.push(0x94);
        self.stored += 1;
        self.stored - 1
    }

    fn store_in_passing(&mut self) {
        if self.memo == Memo::Everything {
            self.store();
        }
    }

    /// An object stored before.
    pub(crate) fn refer(&mut self, stored: u32) {
        if let Ok(small) = u8::try_from(stored) {
            self.frame.extend_from_slice(&[b'h', small]);
        } else {
            let [a, b, c, d] = stored.to_le_bytes();
            self.frame.extend_from_slice(&[b'j', a, b, c, d]);
        }
    }

    /// Begins a dict; pairs and [`Pickler::end_dict`] follow.
    pub(crate) fn begin_dict(&mut self) {
        self.frame.push(b'}');
        self.store_in_passing();
        self.frame.push(b'(');
    }

    /// Begins a dict that others will refer to.
    pub(crate) fn begin_stored_dict(&mut self) -> u32 {
        self.frame.push(b'}');
        let stored = self.store();
        self.frame.push(b'(');
        stored
    }

    pub(crate) fn end_dict(&mut self) {
        self.frame.push(b'u');
    }

    /// A list without items so far: batches may follow.
    pub(crate) fn list(&mut self) {
        self.frame.push(b']');
        self.store_in_passing();
    }

    /// A list without items so far, that others will refer to.
    pub(crate) fn stored_list(&mut self) -> u32 {
        self.frame.push(b']');
        self.store()
    }

    /// Begins a batch of items of the list below; Python writes 1000 in one.
    pub(crate) fn begin_batch(&mut self) {
        self.frame.push(b'(');
    }

    pub(crate) fn end_batch(&mut self) {
        self.frame.push(b'e');
    }

    /// A word of the schema, written once.
    pub(crate) fn word(&mut self, word: &'static str) {
        if let Some(&stored) = self.words.get(word) {
            return self.refer(stored);
        }
        self.spell(word);
        let stored = self.store();
        self.words.insert(word, stored);
    }

    /// A text, written once.
    pub(crate) fn text(&mut self, text: &'t str) {
        if let Some(&stored) = self.texts.get(text) {
            return self.refer(stored);
        }
        self.spell(text);
        let stored = self.store();
        self.texts.insert(text, stored);
    }

    /// A text that is not kept: written in full each time.
    pub(crate) fn owned_text(&mut self, text: &str) {
        self.spell(text);
        self.store_in_passing();
    }

    fn spell(&mut self, text: &str) {
        if let Ok(len) = u8::try_from(text.len()) {
            self.frame.extend_from_slice(&[0x8c, len]);
        } else {
            self.frame.push(0x8d);
            self.frame.extend_from_slice(&(text.len() as u64).to_le_bytes());
        }
        self.frame.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn int(&mut self, number: u64) {
        if let Ok(byte) = u8::try_from(number) {
            self.frame.extend_from_slice(&[b'K', byte]);
        } else if let Ok(short) = u16::try_from(number) {
            let [a, b] = short.to_le_bytes();
            self.frame.extend_from_slice(&[b'M', a, b]);
        } else if let Ok(int) = i32::try_from(number) {
            let [a, b, c, d] = int.to_le_bytes();
            self.frame.extend_from_slice(&[b'J', a, b, c, d]);
        } else {
            // A sign bit of its own: LONG1 holds signed numbers.
            let len = (64 - number.leading_zeros()) / 8 + 1;
            let bytes = u128::from(number).to_le_bytes();
            self.frame.extend_from_slice(&[0x8a, len as u8]);
            self.frame.extend_from_slice(bytes.get(..len as usize).unwrap_or_default());
        }
    }

    /// What stands for "unlimited".
    pub(crate) fn minus_one(&mut self) {
        self.frame.extend_from_slice(&[b'J', 0xff, 0xff, 0xff, 0xff]);
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.frame.push(b'G');
        self.frame.extend_from_slice(&number.to_be_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.frame.push(if value { 0x88 } else { 0x89 });
    }

    /// A tuple of two.
    pub(crate) fn pair(&mut self, (first, second): (u64, u64)) {
        self.int(first);
        self.int(second);
        self.frame.push(0x86);
        self.store_in_passing();
    }
}

#[cfg(test)]
mod tests {
    use super::{Memo, Pickler};

    fn written(write: impl FnOnce(&mut Pickler)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut pickler = Pickler::new(&mut out, Memo::WhatRecurs).expect("memory takes all");
        write(&mut pickler);
        pickler.finish().expect("memory takes all");
        // After PROTO and FRAME, before STOP.
        out.get(11..out.len() - 1).unwrap_or_default().to_vec()
    }

    #[test]
    fn numbers_are_spelt_as_python_spells_them() {
        for (number, bytes) in [
            (255, &b"K\xff"[..]),
            (256, b"M\x00\x01"),
            (65_536, b"J\x00\x00\x01\x00"),
            (1 << 31, b"\x8a\x05\x00\x00\x00\x80\x00"),
            (u64::MAX, b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
        ] {
            assert_eq!(written(|pickler| pickler.int(number)), bytes, "{number}");
        }
    }

    #[test]
    fn a_text_is_written_once() {
        let bytes = written(|pickler| {
            pickler.text("train.py");
            pickler.text("train.py");
        });
        assert_eq!(bytes, b"\x8c\x08train.py\x94h\x00");
    }
}
