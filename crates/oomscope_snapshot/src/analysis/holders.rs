//! Who holds bytes: blocks grouped by the user's line and by what they are.

use crate::LiveBlock;
use oomscope_model::{Bytes, EventIndex, Holder, Place, Role, StackId};
use rustc_hash::FxHashMap;

use super::past::Past;

/// Blocks by user line and role, most bytes first; the sum is that of the blocks.
pub(super) fn group<'b>(
    past: &Past<'_>,
    blocks: impl IntoIterator<Item = &'b LiveBlock>,
) -> Vec<Holder> {
    let mut groups: FxHashMap<(Option<&Place>, Role), Group> = FxHashMap::default();
    for block in blocks {
        let place = past.summary(block.stack).place.as_ref();
        groups.entry((place, past.role_of(block))).or_default().add(block);
    }
    let mut holders: Vec<Holder> = groups
        .into_iter()
        .map(|((place, role), group)| {
            let heaviest = past.summary(group.heaviest());
            Holder {
                place: place.cloned(),
                library_call: heaviest.library_call.clone(),
                role,
                phase: heaviest.phase,
                grad_mode: heaviest.grad_mode,
                bytes: group.bytes,
                blocks: group.blocks,
                oldest: group.oldest,
                youngest: group.youngest,
                callers: heaviest.callers.clone(),
            }
        })
        .collect();
    holders.sort_by(|a, b| {
        b.bytes.cmp(&a.bytes).then_with(|| a.place.cmp(&b.place)).then_with(|| a.role.cmp(&b.role))
    });
    holders
}

/// Bytes by role, most first.
pub(super) fn roles(holders: &[Holder]) -> Vec<(Role, Bytes)> {
    let mut sums: FxHashMap<Role, Bytes> = FxHashMap::default();
    for holder in holders {
        *sums.entry(holder.role).or_default() += holder.bytes;
    }
    let mut roles: Vec<(Role, Bytes)> = sums.into_iter().collect();
    roles.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    roles
}

#[derive(Default)]
struct Group {
    bytes: Bytes,
    blocks: u64,
    oldest: Option<EventIndex>,
    youngest: Option<EventIndex>,
    by_stack: FxHashMap<StackId, Bytes>,
}

impl Group {
    fn add(&mut self, block: &LiveBlock) {
        self.bytes += block.size;
        self.blocks += 1;
        self.oldest = match (self.oldest, block.allocated_at) {
            (Some(oldest), Some(at)) => Some(oldest.min(at)),
            (oldest, at) => oldest.or(at),
        };
        self.youngest = self.youngest.max(block.allocated_at);
        *self.by_stack.entry(block.stack).or_default() += block.size;
    }

    fn heaviest(&self) -> StackId {
        self.by_stack
            .iter()
            .max_by_key(|(stack, bytes)| (**bytes, std::cmp::Reverse(stack.0)))
            .map_or(StackId::NONE, |(stack, _)| *stack)
    }
}
