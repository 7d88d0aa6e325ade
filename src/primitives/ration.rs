//! A reader that gives so much and no more until it is told.
//!
//! Owns the count. Invariant: between two calls of [`Rationed::allow`] no more bytes are read than were
//! allowed, whoever sends and however much; what is behind it looks like a source that has nothing now.

use std::io::{self, ErrorKind, Read};

/// A source, and the bytes that may still be read of it.
#[derive(Debug)]
pub struct Rationed<R> {
    source: R,
    left: usize,
}

impl<R> Rationed<R> {
    /// Of this source, of which nothing may be read yet.
    pub const fn new(source: R) -> Self {
        Self { source, left: 0 }
    }

    /// So many bytes may be read from now on.
    pub const fn allow(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Whether all that was allowed was read.
    pub const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// The source, to do with it what is not reading.
    pub const fn source(&self) -> &R {
        &self.source
    }

    /// The source alone.
    pub fn into_source(self) -> R {
        self.source
    }
}

impl<R: Read> Read for Rationed<R> {
    /// As the source, and [`ErrorKind::WouldBlock`] when nothing is left to be read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_spent() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.left);
        let read = self.source.read(&mut buffer[..length])?;
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_was_allowed() {
        let mut source = Rationed::new(&b"abcdefgh"[..]);
        let mut buffer = [0; 3];
        let mut read = || source.read(&mut buffer).map_err(|error| error.kind());
        assert_eq!(read(), Err(ErrorKind::WouldBlock));
        source.allow(5);
        let mut read = || source.read(&mut buffer).map_err(|error| error.kind());
        assert_eq!([read(), read(), read()], [Ok(3), Ok(2), Err(ErrorKind::WouldBlock)]);
        assert!(source.is_spent());
        source.allow(100);
        let mut rest = Vec::new();
        assert_eq!(source.read_to_end(&mut rest).unwrap(), 3);
        assert!(!source.is_spent(), "an end is no ration");
        assert_eq!((&rest[..], source.into_source()), (&b"fgh"[..], &b""[..]));
    }
}
