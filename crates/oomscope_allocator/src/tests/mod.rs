//! Properties of the model under programs that nobody wrote. The invariants of `allocator/check.rs`
//! are checked after every step of every replay here.

mod programs;
mod properties;
mod round_trip;
