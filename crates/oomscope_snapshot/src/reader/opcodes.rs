//! Pickle opcodes of protocol 2 to 5, as Python's `pickletools` names them. Those that would
//! import, build or call are refused by name.

use memchr::memchr;

use crate::reader::fault::Fault;
use crate::reader::machine::{Damage, Machine};
use crate::reader::value::{Escaping, Text, Value};

/// Whether reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    Stop,
}

/// A place in the input.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Cursor<'a> {
        Cursor { input, at: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.input.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or(Damage::Ends)?;
        self.at += N;
        Ok(bytes)
    }

    /// The next byte, which stays next.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// Steps over `bytes` if they come next.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> bool {
        let is_next = self.input.get(self.at..).is_some_and(|rest| rest.starts_with(bytes));
        self.at += if is_next { bytes.len() } else { 0 };
        is_next
    }

    /// Goes to a place that was read before, or that is known to be there.
    #[inline]
    pub(crate) fn return_to(&mut self, at: usize) {
        self.at = at;
    }

    /// A number or a short text; `None` when another opcode comes next.
    #[inline]
    pub(crate) fn scalar(&mut self) -> Option<Value> {
        let value = match self.u8().ok()? {
            b'K' => Value::Int(self.u8().ok()?.into()),
            b'M' => Value::Int(self.array().map(u16::from_le_bytes).ok()?.into()),
            b'J' => {
                let number = self.array().map(i32::from_le_bytes).ok()?;
                u64::try_from(number).map_or(Value::Other, Value::Int)
            }
            0x8a => {
                let len = self.u8().ok()?;
                long(self.bytes(len.into()).ok()?)
            }
            0x8c => {
                let len = self.u8().ok()?;
                self.text(len.into()).ok()?
            }
            _ => return None,
        };
        Some(value)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    fn bytes(&mut self, len: u64) -> Result<&'a [u8], Damage> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let end = end.ok_or(Damage::Ends)?;
        let bytes = self.input.get(self.at..end).ok_or(Damage::Ends)?;
        self.at = end;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self, len: u64) -> Result<Value, Damage> {
        let start = self.at;
        let bytes = self.bytes(len)?;
        Ok(Value::Text(Text::new(self.input, start, bytes.len(), Escaping::Plain)))
    }

    fn line(&mut self) -> Result<&'a [u8], Damage> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let len = memchr(b'\n', rest).ok_or(Damage::Ends)?;
        self.at += len + 1;
        rest.get(..len).ok_or(Damage::Ends)
    }
}

/// Reads one opcode.
#[inline]
pub(crate) fn step(cursor: &mut Cursor, machine: &mut Machine) -> Result<Flow, Damage> {
    match cursor.u8()? {
        b'h' => {
            let index = cursor.u8()?.into();
            machine.push_known(index)?;
        }
        b'j' => {
            let index = cursor.u32()?;
            machine.push_known(index)?;
        }
        0x94 => machine.memoise()?,
        b'(' => match machine.take_stack_run(cursor.at) {
            Some(after) => cursor.at = after,
            None => machine.mark()?,
        },
        b'e' => machine.append_all()?,
        b'u' => machine.set_all()?,
        b']' => machine.new_list()?,
        b'}' => {
            if !machine.take_event(cursor)? {
                machine.new_dict()?;
            }
        }
        b'K' => {
            let number = cursor.u8()?;
            machine.push(Value::Int(number.into()))?;
        }
        b'M' => {
            let number = cursor.array().map(u16::from_le_bytes)?;
            machine.push(Value::Int(number.into()))?;
        }
        b'J' => {
            let number = cursor.array().map(i32::from_le_bytes)?;
            machine.push(u64::try_from(number).map_or(Value::Other, Value::Int))?;
        }
        0x8a => {
            let len = cursor.u8()?;
            let number = long(cursor.bytes(len.into())?);
            machine.push(number)?;
        }
        0x8c => {
            let len = cursor.u8()?;
            let text = cursor.text(len.into())?;
            machine.push(text)?;
        }
        0x95 => drop(cursor.u64()?),
        b'.' => return Ok(Flow::Stop),
        opcode => rare(opcode, cursor, machine)?,
    }
    Ok(Flow::On)
}

fn rare(opcode: u8, cursor: &mut Cursor, machine: &mut Machine) -> Result<(), Damage> {
    match opcode {
        0x80 => cursor.u8().map(drop),
        b'a' => machine.append_one(),
        b's' => machine.set_one(),
        b'N' => machine.push(Value::None),
        0x88 => machine.push(Value::Bool(true)),
        0x89 => machine.push(Value::Bool(false)),
        // The empty tuple; sets hold nothing of the schema.
        b')' | 0x8f => machine.push(Value::Other),
        0x85 => {
            machine.pop()?;
            machine.push(Value::Other)
        }
        0x86 => {
            let second = machine.pop()?;
            let first = machine.pop()?;
            machine.push(Value::of_two(first, second))
        }
        0x87 => {
            machine.pop()?;
            machine.pop()?;
            machine.pop()?;
            machine.push(Value::Other)
        }
        b't' => {
            let base = machine.take_mark()?;
            let tuple = match machine.stack.get(base..) {
                Some(&[first, second]) => Value::of_two(first, second),
                _ => Value::Other,
            };
            machine.stack.truncate(base);
            machine.push(tuple)
        }
        b'l' | b'd' => collect(opcode, machine),
        b'G' => {
            let number = cursor.array().map(f64::from_be_bytes)?;
            machine.push(Value::Float(number))
        }
        0x8b => {
            let len = cursor.u32()?;
            let number = long(cursor.bytes(len.into())?);
            machine.push(number)
        }
        b'X' | b'T' => {
            let len = cursor.u32()?;
            let text = cursor.text(len.into())?;
            machine.push(text)
        }
        b'U' => {
            let len = cursor.u8()?;
            let text = cursor.text(len.into())?;
            machine.push(text)
        }
        0x8d => {
            let len = cursor.u64()?;
            let text = cursor.text(len)?;
            machine.push(text)
        }
        b'C' => {
            let len = cursor.u8()?;
            cursor.bytes(len.into())?;
            machine.push(Value::Other)
        }
        b'B' => {
            let len = cursor.u32()?;
            cursor.bytes(len.into())?;
            machine.push(Value::Other)
        }
        0x8e | 0x96 => {
            let len = cursor.u64()?;
            cursor.bytes(len)?;
            machine.push(Value::Other)
        }
        b'q' => {
            let index = cursor.u8()?;
            machine.put(index.into())
        }
        b'r' => {
            let index = cursor.u32()?;
            machine.put(index)
        }
        b'0' => machine.pop().map(drop),
        b'1' | 0x90 => {
            let base = machine.take_mark()?;
            machine.stack.truncate(base);
            Ok(())
        }
        b'2' => machine.push(machine.top()?),
        0x91 => {
            let base = machine.take_mark()?;
            machine.stack.truncate(base);
            machine.push(Value::Other)
        }
        b'I' | b'L' => {
            let number = decimal(cursor.line()?);
            machine.push(number)
        }
        b'p' => {
            let index = index(cursor.line()?)?;
            machine.put(index)
        }
        b'g' => {
            let index = index(cursor.line()?)?;
            machine.push_known(index)
        }
        b'F' | b'S' | b'V' => {
            cursor.line()?;
            machine.push(Value::Other)
        }
        _ => match refused_name(opcode) {
            Some(_) => Err(Damage::Refused(opcode)),
            None => Err(Damage::Malformed(Fault::UnknownOpcode)),
        },
    }
}

/// `LIST` and `DICT`: a container made of what stands above the mark.
fn collect(opcode: u8, machine: &mut Machine) -> Result<(), Damage> {
    let base = machine.take_mark()?;
    if opcode == b'l' {
        let id = machine.lists.len() as u32;
        machine.new_list()?;
        machine.stack.pop();
        machine.extend_list(id, base);
        machine.stack.truncate(base);
        return machine.push(Value::List(id));
    }
    let id = machine.dicts.len() as u32;
    machine.new_dict()?;
    machine.stack.pop();
    machine.extend_dict(id, base);
    machine.stack.truncate(base);
    machine.push(Value::Dict(id))
}

/// A little-endian two's-complement number; negative ones and those above 64 bits are of no use.
#[inline]
fn long(bytes: &[u8]) -> Value {
    let (low, high) = bytes.split_at(bytes.len().min(8));
    let is_negative = bytes.last().is_some_and(|&top| top & 0x80 != 0);
    if is_negative || high.iter().any(|&byte| byte != 0) {
        return Value::Other;
    }
    Value::Int(low.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// `INT` and `LONG`: a line of digits, `00` and `01` for booleans.
fn decimal(line: &[u8]) -> Value {
    match line {
        b"00" => Value::Bool(false),
        b"01" => Value::Bool(true),
        _ => {
            let text = std::str::from_utf8(line).unwrap_or_default();
            text.trim_end_matches('L').parse().map_or(Value::Other, Value::Int)
        }
    }
}

/// The memo index of `PUT` and `GET`.
fn index(line: &[u8]) -> Result<u32, Damage> {
    let number = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
    number.ok_or(Damage::Malformed(Fault::NoIndex))
}

/// Whether a byte is an opcode of any protocol, refused ones included.
pub(crate) fn is_opcode(byte: u8) -> bool {
    refused_name(byte).is_some()
        || matches!(byte, 0x80 | 0x85..=0x8f | 0x90 | 0x91 | 0x94..=0x96)
        || b"hj(eu]}KMJ.asN)tldGXTUCBqrpg012ILFSV".contains(&byte)
}

/// The name of an opcode that would import, build or call.
pub(crate) fn refused_name(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        b'c' => "GLOBAL",
        b'R' => "REDUCE",
        b'b' => "BUILD",
        b'i' => "INST",
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x92 => "NEWOBJ_EX",
        0x93 => "STACK_GLOBAL",
        b'P' => "PERSID",
        b'Q' => "BINPERSID",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return None,
    })
}
