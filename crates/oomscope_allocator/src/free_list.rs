//! The free blocks of one pool and stream, by size, then by rank, which is the address in older
//! releases: `BlockPool::blocks` and its
//! comparator. Chunks of packed keys, because a tree of nodes is what an allocator waits for.

use crate::block::BlockId;

/// Keys in a chunk; two cache lines hold eight, so a search touches few.
const CHUNK: usize = 128;

/// A free block, packed so that keys compare as (size, rank): size in units of 512 bytes,
/// rank, number of the block.
type Key = u128;

fn key(size: u64, rank: u64, block: BlockId) -> Key {
    (Key::from(units(size)) << 96) | (Key::from(rank) << 32) | Key::from(block.0)
}

/// A size as keys hold it. Sizes of 2 TiB and more, which no device has, are all one.
fn units(size: u64) -> u32 {
    u32::try_from(size >> 9).unwrap_or(u32::MAX)
}

fn block_of(key: Key) -> BlockId {
    BlockId(key as u32)
}

/// Where a block stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    chunk: usize,
    at: usize,
}

/// Free blocks, ordered. No chunk is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreeList {
    chunks: Vec<Vec<Key>>,
}

impl FreeList {
    pub(crate) fn insert(&mut self, size: u64, rank: u64, block: BlockId) {
        let key = key(size, rank, block);
        let number = self.chunk_of(key).min(self.chunks.len().saturating_sub(1));
        let Some(chunk) = self.chunks.get_mut(number) else {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.push(key);
            self.chunks.push(chunk);
            return;
        };
        let at = chunk.partition_point(|other| *other < key);
        chunk.insert(at, key);
        if chunk.len() == CHUNK {
            let mut upper = Vec::with_capacity(CHUNK);
            upper.extend(chunk.drain(CHUNK / 2..));
            self.chunks.insert(number + 1, upper);
        }
    }

    /// Takes a block out; whether it was in.
    pub(crate) fn remove(&mut self, size: u64, rank: u64, block: BlockId) -> bool {
        let key = key(size, rank, block);
        let position = self.position_of(key);
        if position.and_then(|position| self.key_at(position)) != Some(key) {
            return false;
        }
        position.is_some_and(|position| self.remove_at(position).is_some())
    }

    /// Takes the block at a position out.
    pub(crate) fn remove_at(&mut self, position: Position) -> Option<BlockId> {
        let chunk = self.chunks.get_mut(position.chunk)?;
        if position.at >= chunk.len() {
            return None;
        }
        let key = chunk.remove(position.at);
        if chunk.is_empty() {
            self.chunks.remove(position.chunk);
        }
        Some(block_of(key))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a block is in.
    #[cfg(any(test, feature = "check"))]
    pub(crate) fn contains(&self, size: u64, rank: u64, block: BlockId) -> bool {
        let key = key(size, rank, block);
        self.position_of(key).and_then(|position| self.key_at(position)) == Some(key)
    }

    /// The smallest block of at least `size` bytes, the lowest address among equals.
    pub(crate) fn lower_bound(&self, size: u64) -> Option<Position> {
        self.position_of(Key::from(units(size)) << 96)
    }

    pub(crate) fn next(&self, position: Position) -> Option<Position> {
        let after = Position { at: position.at + 1, ..position };
        if self.key_at(after).is_some() {
            return Some(after);
        }
        let first = Position { chunk: position.chunk + 1, at: 0 };
        self.key_at(first).is_some().then_some(first)
    }

    /// The blocks of at least `size` bytes, smallest first.
    pub(crate) fn from(&self, size: u64) -> impl Iterator<Item = BlockId> {
        let first = self.lower_bound(size).filter(|first| self.key_at(*first).is_some());
        let after = move |position: &Position| self.next(*position);
        std::iter::successors(first, after).filter_map(|position| self.block_at(position))
    }

    pub(crate) fn block_at(&self, position: Position) -> Option<BlockId> {
        self.key_at(position).map(block_of)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = BlockId> {
        self.chunks.iter().flatten().copied().map(block_of)
    }

    fn key_at(&self, position: Position) -> Option<Key> {
        self.chunks.get(position.chunk)?.get(position.at).copied()
    }

    /// The first chunk whose last key is not below `key`.
    fn chunk_of(&self, key: Key) -> usize {
        if let [chunk] = self.chunks.as_slice() {
            return usize::from(chunk.last().is_some_and(|last| *last < key));
        }
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| *last < key))
    }

    fn position_of(&self, key: Key) -> Option<Position> {
        let chunk = self.chunk_of(key);
        let at = self.chunks.get(chunk)?.partition_point(|other| *other < key);
        Some(Position { chunk, at })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FreeList;
    use crate::block::BlockId;

    #[test]
    fn the_list_agrees_with_a_set() {
        let mut list = FreeList::default();
        let mut set = BTreeSet::new();
        let mut state = 7_u64;
        for turn in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (size, addr) = (((state >> 40) % 300) * 512, ((state >> 20) % 900) * 512);
            let block = BlockId((addr / 512) as u32);
            if turn % 3 == 2 {
                assert_eq!(list.remove(size, addr, block), set.remove(&(size, addr)));
            } else if set.insert((size, addr)) {
                list.insert(size, addr, block);
            }
            let found = list.lower_bound(size).and_then(|position| list.block_at(position));
            let expected = set.range((size, 0)..).next();
            assert_eq!(found, expected.map(|(_, addr)| BlockId((addr / 512) as u32)));
        }
        let all: Vec<BlockId> = set.iter().map(|(_, addr)| BlockId((addr / 512) as u32)).collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), all);
        let mut walked = Vec::new();
        let mut position = list.lower_bound(0);
        while let Some(at) = position {
            walked.extend(list.block_at(at));
            position = list.next(at);
        }
        assert_eq!(walked, all);
    }
}
