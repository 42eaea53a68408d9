//! Snapshots that were saved as JSON. Drives the same machine as a pickle does; never recurses.

use memchr::memchr2;

use crate::reader::assemble::assemble;
use crate::reader::error::ReadError;
use crate::reader::machine::{Damage, Machine};
use crate::reader::pickle::{REPORT, describe};
use crate::reader::value::{Escaping, Text, Value};
use crate::snapshot::Snapshot;

/// Values that wait on the stack before they are collected, as Python's pickler batches them.
const BATCH: usize = 1000;

pub(crate) fn read(bytes: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Snapshot, ReadError> {
    let mut machine = Machine::new(bytes);
    let mut reader = Reader { input: bytes, at: 0, open: Vec::new() };
    let mut problem = None;
    let mut next_report = REPORT;
    loop {
        if reader.at >= next_report {
            progress(reader.at);
            next_report = reader.at + REPORT;
        }
        match reader.step(&mut machine) {
            Ok(true) => {}
            Ok(false) => break,
            Err(damage) => {
                problem = Some(describe(damage, reader.at, &machine));
                machine.close_all();
                break;
            }
        }
    }
    progress(reader.at);
    assemble(machine, problem)
}

/// What is being read at a nesting level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    List,
    Dict,
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    open: Vec<Open>,
}

impl Reader<'_> {
    /// Reads one token. False when the outermost value is whole.
    fn step(&mut self, machine: &mut Machine) -> Result<bool, Damage> {
        let Some(&byte) = self.input.get(self.at) else { return Err(Damage::Ends) };
        let start = self.at;
        self.at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | 0xef | 0xbb | 0xbf => return Ok(true),
            b'{' => {
                machine.new_dict()?;
                machine.mark()?;
                self.open.push(Open::Dict);
                return Ok(true);
            }
            b'[' => {
                machine.new_list()?;
                machine.mark()?;
                self.open.push(Open::List);
                return Ok(true);
            }
            b'}' | b']' => match (byte, self.open.pop()) {
                (b'}', Some(Open::Dict)) => machine.set_all()?,
                (b']', Some(Open::List)) => machine.append_all()?,
                _ => return Err(Damage::Malformed("a bracket that was never opened")),
            },
            b'"' => self.string(machine)?,
            b't' | b'f' | b'n' | b'N' | b'I' | b'-' | b'0'..=b'9' => {
                self.at = start;
                machine.push(self.bare())?;
            }
            _ => return Err(Damage::Malformed("not JSON")),
        }
        self.collect(machine)?;
        Ok(!self.open.is_empty())
    }

    fn string(&mut self, machine: &mut Machine) -> Result<(), Damage> {
        let start = self.at;
        let mut escaping = Escaping::Plain;
        loop {
            let rest = self.input.get(self.at..).ok_or(Damage::Ends)?;
            let len = memchr2(b'"', b'\\', rest).ok_or(Damage::Ends)?;
            self.at += len + 1;
            if rest.get(len) == Some(&b'"') {
                break;
            }
            escaping = Escaping::Json;
            self.at += 1;
        }
        let len = (self.at - 1).saturating_sub(start);
        machine.push(Value::Text(Text::new(self.input, start, len, escaping)))
    }

    /// A number, or `true`, `false`, `null` and Python's `NaN` and `Infinity`.
    fn bare(&mut self) -> Value {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte);
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        self.at += len;
        match std::str::from_utf8(rest.get(..len).unwrap_or_default()).unwrap_or_default() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::None,
            text => match text.parse() {
                Ok(number) => Value::Int(number),
                Err(_) => text.parse().map_or(Value::Other, Value::Float),
            },
        }
    }

    /// Keeps the stack short in long collections.
    fn collect(&self, machine: &mut Machine) -> Result<(), Damage> {
        let base = machine.marks.last().map_or(0, |&mark| mark as usize);
        let waiting = machine.stack.len().saturating_sub(base);
        match self.open.last() {
            Some(Open::List) if waiting >= BATCH => machine.append_all()?,
            Some(Open::Dict) if waiting >= 2 * BATCH && waiting.is_multiple_of(2) => {
                machine.set_all()?;
            }
            _ => return Ok(()),
        }
        machine.mark()
    }
}
