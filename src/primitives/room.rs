//! Memory for what may be long.
//!
//! Owns how large a buffer is made that is not short. Never holds one. Invariant: what is long lies in
//! memory of its own, which goes back to the system as soon as it is free, also after it was shrunk.
//! Of what is smaller glibc keeps holes, for each thread and between what is still held: three times
//! as much as all texts that wait for those who do not read (`DEFAULT_MMAP_THRESHOLD_MAX`, malloc.c).

/// Bytes that a buffer has before it counts as long.
const SHORT: usize = 32 << 10;

/// Bytes that a long one gets; those that are never written cost nothing.
const ROOM: usize = (32 << 20) + 1;

/// A buffer for about so many bytes.
pub fn with_room(bytes: usize) -> Vec<u8> {
    Vec::with_capacity(if bytes > SHORT { ROOM.max(bytes) } else { bytes })
}

/// To be called before a buffer that may become long grows to this length.
pub fn make_room(buffer: &mut Vec<u8>, length: usize) {
    if length > SHORT {
        // Once: it has as much from then on.
        buffer.reserve_exact(ROOM.max(length).saturating_sub(buffer.len()));
    }
}

/// To be called once a buffer grows no more.
pub fn cut_room(buffer: &mut Vec<u8>) {
    if buffer.capacity() >= ROOM {
        buffer.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_gets_what_it_needs_and_what_is_long_its_own_memory() {
        for (bytes, capacity) in [(0, 0), (SHORT, SHORT), (SHORT + 1, ROOM), (ROOM + 1, ROOM + 1)] {
            assert_eq!(with_room(bytes).capacity(), capacity);
        }
        let mut buffer = vec![b'x'; SHORT];
        make_room(&mut buffer, SHORT);
        assert_eq!(buffer.capacity(), SHORT);
        make_room(&mut buffer, SHORT + 1);
        let place = buffer.as_ptr();
        buffer.resize(SHORT + 1, b'x');
        make_room(&mut buffer, ROOM);
        assert_eq!((buffer.capacity(), buffer.as_ptr()), (ROOM, place));
        cut_room(&mut buffer);
        assert_eq!(buffer.capacity(), SHORT + 1);
    }
}
