//! Reads the bodies of answers, as far as there is room for them.
//!
//! Owns the bound of what all answers under way hold together. Never knows what they are. Invariants:
//! beyond [`OWN_BYTES`] bytes each, all bodies that are being read hold at most [`LONG_MAX`].

use super::client::CallError;
use crate::primitives::room::{cut_room, make_room};
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a body that are read whatever the others hold.
const OWN_BYTES: usize = 64 << 10;

/// Bytes of all bodies under way beyond that: a few batches of blocks, or one answer of the longest.
/// Whoever needs more is put off.
pub const LONG_MAX: usize = 6 << 20;

/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// What all bodies under way hold beyond [`OWN_BYTES`].
#[derive(Debug, Default)]
pub struct Reading(AtomicUsize);

/// What one of them holds, until it is dropped.
struct Share<'a> {
    of: &'a Reading,
    bytes: usize,
}

impl Reading {
    /// Reads a body of at most `max` bytes to its end.
    ///
    /// # Errors
    /// If it is longer, no text or cut short, or there is no room for it just now.
    pub fn read(&self, mut from: impl Read, max: usize) -> Result<String, CallError> {
        let (mut share, mut body) = (Share { of: self, bytes: 0 }, Vec::new());
        let mut piece = [0; PIECE];
        loop {
            let count = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(CallError::of(error.into(), max)),
            };
            let length = body.len() + count;
            if length > max {
                return Err(CallError::TooLong(max));
            }
            if length > OWN_BYTES {
                share.grow_to(length - OWN_BYTES)?;
            }
            make_room(&mut body, length);
            body.extend_from_slice(&piece[..count]);
        }
        cut_room(&mut body);
        String::from_utf8(body).map_err(|_| CallError::Unreadable)
    }
}

impl Share<'_> {
    fn grow_to(&mut self, bytes: usize) -> Result<(), CallError> {
        let more = bytes.saturating_sub(self.bytes);
        let held = self.of.0.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if held + more > LONG_MAX { Err(CallError::Crowded) } else { Ok(()) }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::repeat;

    /// A body of so many bytes.
    fn long(bytes: usize) -> impl Read {
        repeat(b'x').take(bytes as u64)
    }

    #[test]
    fn a_body_is_read_whole_up_to_its_bound() {
        let reading = Reading::default();
        for bytes in [0, 1, OWN_BYTES, OWN_BYTES + 1, LONG_MAX] {
            assert_eq!(reading.read(long(bytes), bytes).map(|body| body.len()), Ok(bytes));
            assert_eq!(reading.read(long(bytes + 1), bytes), Err(CallError::TooLong(bytes)));
        }
        assert_eq!(reading.read(&[0xff][..], 1), Err(CallError::Unreadable));
        assert_eq!(reading.0.into_inner(), 0, "all is given back");
    }

    #[test]
    fn all_under_way_hold_no_more_than_there_is_room_for() {
        /// Reads another body while it is read itself.
        struct Nested<'a>(&'a Reading, Option<Result<String, CallError>>, usize);
        impl Read for Nested<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                if self.2 == 0 {
                    return Ok(0);
                }
                self.2 = self.2.saturating_sub(buffer.len());
                if self.2 == 0 {
                    self.1 = Some(self.0.read(long(3 * OWN_BYTES), usize::MAX));
                }
                Ok(buffer.len())
            }
        }
        let reading = Reading::default();
        for (bytes, other) in
            [(LONG_MAX / 2, Ok(3 * OWN_BYTES)), (LONG_MAX, Err(CallError::Crowded))]
        {
            let mut nested = Nested(&reading, None, bytes);
            assert_eq!(reading.read(&mut nested, usize::MAX).map(|body| body.len()), Ok(bytes));
            assert_eq!(nested.1.unwrap().map(|body| body.len()), other);
        }
        assert_eq!(
            reading.read(long(OWN_BYTES + LONG_MAX + 1), usize::MAX),
            Err(CallError::Crowded)
        );
        assert_eq!(reading.0.into_inner(), 0, "all is given back");
    }
}
