//! What a truncated file still says: containers that were begun are closed as if they had ended,
//! so that the records inside reach the lists and dicts that they were meant for.

use crate::reader::machine::Machine;
use crate::reader::records::{Dict, Kind, kind_of};
use crate::reader::value::Value;

impl Machine<'_> {
    /// Closes everything that is open, innermost first. Events, blocks and frames that were cut
    /// are dropped; segments and what holds them are kept.
    pub(crate) fn close_all(&mut self) {
        while let Ok(base) = self.take_mark() {
            self.close(base);
        }
        if self.stack.len() > 1 {
            self.close(1);
        }
    }

    fn close(&mut self, base: usize) {
        let below = base.checked_sub(1).and_then(|at| self.stack.get(at)).copied();
        match below {
            Some(Value::List(list)) => self.extend_list(list, base),
            Some(Value::Dict(dict)) => {
                self.collapse(base);
                if !self.survives_a_cut(dict, base) {
                    self.stack.truncate(base - 1);
                    return;
                }
                self.extend_dict(dict, base);
            }
            _ => {}
        }
        self.stack.truncate(base);
    }

    /// Where a key should stand but a container does, it belongs to the list right before it:
    /// lists of one item have no mark.
    fn collapse(&mut self, base: usize) {
        let mut value = base + 1;
        while matches!(self.stack.get(value + 1), Some(Value::Text(_))) {
            value += 2;
        }
        while self.stack.len() > value + 1 {
            let last = self.stack.len() - 1;
            if let Some(&Value::List(list)) = self.stack.get(last - 1) {
                self.extend_list(list, last);
            }
            self.stack.truncate(last);
        }
    }

    fn survives_a_cut(&self, dict: u32, base: usize) -> bool {
        match self.dicts.get(dict as usize) {
            Some(Dict::Segment(_) | Dict::Top(_)) => true,
            Some(Dict::Loose(_)) => {
                let keys = self.stack.get(base..).unwrap_or_default().iter().step_by(2);
                let kind = keys.copied().find_map(|key| kind_of(key.word()));
                matches!(kind, Some(Kind::Segment | Kind::Top))
            }
            _ => false,
        }
    }
}
