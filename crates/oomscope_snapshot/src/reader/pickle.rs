//! Pickles: one pass over the opcodes, to the end or to the first damage.

use crate::reader::assemble::assemble;
use crate::reader::error::{ReadError, ReadProblem};
use crate::reader::machine::{Damage, Machine};
use crate::reader::opcodes::{Cursor, Flow, is_opcode, step};
use crate::snapshot::Snapshot;

/// Whether the bytes begin as a pickle of protocol 2 to 5.
pub(crate) fn is_pickle(bytes: &[u8]) -> bool {
    matches!(*bytes, [0x80, 2..=5, first, ..] if is_opcode(first))
}

/// Whether the bytes begin as a dict or list of protocol 0 or 1.
pub(crate) fn is_text_pickle(bytes: &[u8]) -> bool {
    let beginnings: [&[u8]; 5] = [b"(dp", b"(lp", b"}q", b"]q", b"(dq"];
    beginnings.iter().any(|beginning| bytes.starts_with(beginning))
}

/// Bytes between two reports of progress.
pub(crate) const REPORT: usize = 4 << 20;

pub(crate) fn read(bytes: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Snapshot, ReadError> {
    let mut machine = Machine::new(bytes);
    let mut cursor = Cursor::new(bytes);
    let mut problem = None;
    let mut next_report = REPORT;
    loop {
        let offset = cursor.offset();
        if offset >= next_report {
            progress(offset);
            next_report = offset + REPORT;
        }
        match step(&mut cursor, &mut machine) {
            Ok(Flow::On) => {}
            Ok(Flow::Stop) => break,
            Err(Damage::Refused(name)) => {
                return Err(ReadError::RefusedOpcode { name, offset: offset as u64 });
            }
            Err(damage) => {
                problem = Some(describe(damage, offset, &machine));
                break;
            }
        }
    }
    if problem.is_some() {
        machine.close_all();
    }
    progress(cursor.offset());
    assemble(machine, problem)
}

/// Damage as a problem; says how much was read before it.
pub(crate) fn describe(damage: Damage, offset: usize, machine: &Machine) -> ReadProblem {
    let (what, hint) = match damage {
        Damage::Ends => (
            "the file ends inside a record".to_owned(),
            "the program was killed while it wrote, or the copy was cut short",
        ),
        Damage::Malformed(what) => (what.to_owned(), "the file is damaged"),
        Damage::Refused(name) => (format!("{name} is refused"), "the file is no snapshot"),
    };
    let read = machine.rows.kind.len();
    let hint = format!("{hint}; what came before was read ({read} events)");
    ReadProblem { at: format!("byte {offset}"), what, hint: Some(hint) }
}
