//! How much work one line may make this node do.
//!
//! Owns what each kind of work counts, and what a line is given. Answers are counted in bytes, the
//! rest by what it costs in comparison, so that one number bounds it all. A line that has nothing
//! left is not read further: nothing is lost, and whoever floods waits on its own side. So it is
//! with one that does not take its answers. Work that we have asked for is not counted.

use crate::primitives::allowance::Rate;

/// What each text counts, a few questions and answers of which are all that two nodes have to say
/// to each other in a second.
pub const TEXT: usize = 2 * 1024;

/// What each id of a transfer counts that a peer tells: it is looked for, kept and asked for.
pub const ID: usize = 512;

/// What each block counts that a peer tells: its header is hashed, and may go to the owner.
pub const BLOCK: usize = 32 * 1024;

/// What a line of another may cost in a second, for example 2,000 ids. 64 of them together cost a
/// part of a core: whoever has opened a line asks for headers and blocks over HTTP.
pub const OF_OTHERS: Rate = Rate { per_second: 1024 * 1024, saved_max: SAVED_MAX };

/// What a line that we have opened may cost in a second: the other side may have to fetch the whole
/// chain over it, and we have chosen those few.
pub const OF_OURS: Rate = Rate { per_second: 4 * 1024 * 1024, saved_max: SAVED_MAX };

/// What a line may save up: the ids of two full pools, as after a partition, or two longest blocks.
const SAVED_MAX: usize = 8 * 1024 * 1024;

/// Bytes that wait to leave on a line of another beyond which nothing of it is read. What the
/// system holds besides is several times that, so who reads its answers does not notice; 64 that do
/// not read would hold as much each, and a last answer.
pub const UNSENT_OF_OTHERS: usize = 16 * 1024;

/// The same on a line that we have opened.
pub const UNSENT_OF_OURS: usize = 64 * 1024;
