//! The least that each group held in each step: what steps leave behind raises the floor.

use oomscope_model::Bytes;

use crate::Life;
use crate::history::NEVER;

/// The floors of one group, by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Floors {
    held: u64,
    lowest: u64,
    step: usize,
    by_step: Vec<u64>,
}

impl Floors {
    fn reach(&mut self, step: usize) {
        while self.step < step {
            self.by_step.push(self.lowest);
            self.lowest = self.held;
            self.step += 1;
        }
    }

    fn change(&mut self, step: usize, by: Change) {
        self.reach(step);
        self.held = match by {
            Change::Born(size) => self.held.saturating_add(size.0),
            Change::Released(size) => self.held.saturating_sub(size.0),
        };
        self.lowest = self.lowest.min(self.held);
    }
}

#[derive(Clone, Copy)]
enum Change {
    Born(Bytes),
    Released(Bytes),
}

/// The floors of `groups` groups in the steps `starts[i]..starts[i + 1]`; what comes before the
/// first start and after the last is no whole step. Blocks that lived inside one step leave
/// nothing behind and do not count. `group_of` says which group a life is of.
pub(super) fn floors<'l>(
    lives: impl IntoIterator<Item = &'l Life>,
    starts: &[u32],
    groups: usize,
    group_of: impl Fn(&'l Life) -> Option<u32>,
) -> Vec<Vec<u64>> {
    // Time `n` is after event `n - 1`; blocks older than the trace come before every step.
    let step_of = |time: u32| starts.partition_point(|start| *start < time);
    let mut changes: Vec<(u32, u32, Change)> = Vec::new();
    for life in lives {
        let released = life.released.max(life.born).min(life.completed);
        if step_of(life.born) == step_of(released) && released != NEVER {
            continue;
        }
        if let Some(group) = group_of(life) {
            changes.push((life.born, group, Change::Born(life.size)));
            changes.push((released, group, Change::Released(life.size)));
        }
    }
    // What is released goes first: a step's floor is not the sum of what never lived together.
    changes.sort_unstable_by_key(|(time, _, change)| (*time, matches!(change, Change::Born(_))));
    let mut floors = vec![Floors::default(); groups];
    for (time, group, change) in changes {
        let step = step_of(time);
        if let Some(floors) = floors.get_mut(group as usize) {
            floors.change(step, change);
        }
    }
    floors
        .into_iter()
        .map(|mut floors| {
            floors.reach(starts.len());
            floors.by_step.into_iter().skip(1).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use oomscope_model::{Bytes, StackId};

    use super::floors;
    use crate::Life;
    use crate::history::NEVER;

    fn life(born: u32, released: u32, size: u64) -> Life {
        Life {
            addr: 0,
            size: Bytes(size),
            requested: Bytes(size),
            stream: 0,
            stack: StackId::NONE,
            allocated_at: None,
            born,
            released,
            completed: released,
        }
    }

    #[test]
    fn floors_hold_what_steps_leave_behind() {
        // Kept from before, one left by each step, one inside a step, one replaced by a larger.
        let lives = [
            life(0, NEVER, 1000),
            life(12, NEVER, 10),
            life(22, NEVER, 10),
            life(13, 15, 700),
            life(14, 25, 100),
            life(24, 35, 200),
        ];
        let found = floors(&lives, &[10, 20, 30, 40], 1, |_| Some(0));
        assert_eq!(found, [vec![1000, 1110, 1020]]);
    }
}
