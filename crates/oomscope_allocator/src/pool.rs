//! Pools: the default ones, and the private ones of CUDA graphs and `torch.cuda.MemPool`.

use std::collections::{BTreeMap, BTreeSet};

use crate::block::{BinId, BlockId};
use crate::free_list::FreeList;

/// A pool's identity as PyTorch records it (`MempoolId_t`); `(0, 0)` is the default.
pub type PoolId = (u64, u64);

/// The two free lists that share an identity, by size of request.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) id: PoolId,
    pub(crate) small: Half,
    pub(crate) large: Half,
}

impl Pool {
    pub(crate) fn new(id: PoolId) -> Pool {
        Pool { id, small: Half::default(), large: Half::default() }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.id != (0, 0)
    }
}

/// `BlockPool`: the small or the large half of a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Half {
    /// Free lists, by stream, as the comparator orders them.
    pub(crate) bins: BTreeMap<u64, BinId>,
    /// Those that had a free block since the cache was last given back, of many.
    pub(crate) cached: BTreeSet<(u64, BinId)>,
    /// The one that was looked up last.
    pub(crate) last: Option<(u64, BinId)>,
    /// How often a free block was looked for (`get_free_blocks_call_count`); counts only while
    /// garbage is collected.
    pub(crate) searches: u32,
}

/// Which half of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Small,
    Large,
}

/// The free blocks of one half and one stream.
#[derive(Clone, Debug)]
pub(crate) struct Bin {
    /// Index of the pool.
    pub(crate) pool: u32,
    pub(crate) width: Width,
    pub(crate) stream: u64,
    pub(crate) free: FreeList,
    /// Whether it is in [`Half::cached`].
    pub(crate) is_cached: bool,
    /// Address space without memory, by address.
    pub(crate) unmapped: BTreeSet<(u64, BlockId)>,
}
