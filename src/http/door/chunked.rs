//! The chunked transfer coding (RFC 9112, 7.1), read strictly and in any pieces.
//!
//! Owns the framing alone; how much data is too much is the caller's rule. Trailers are refused, extensions
//! are bounded: the node has no use for either.

/// The extensions of all chunks of a body together. Nobody who talks to the node needs one.
pub const EXTENSIONS_MAX: usize = 256;

/// Hex digits of a chunk's size: 2^40 bytes is above every limit.
const SIZE_DIGITS_MAX: usize = 10;

/// Chunks that cannot be told apart, or carry what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkFault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: usize },
    Extension,
    SizeEnd { last: bool },
    Data,
    DataCr,
    DataLf,
    LastCr,
    LastLf,
    Done,
}

/// A reader of one body's chunks.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    state: State,
    left: u64,
    extensions: usize,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the body.
    Data(&'a [u8]),
    /// The input is used up.
    More,
    /// The body is whole; what follows belongs to the next request.
    End,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, left: 0, extensions: 0 }
    }
}

impl Chunks {
    /// Reads on until some data, the end, or the end of the input. Also says how much input it used.
    ///
    /// # Errors
    /// When the framing is wrong.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Piece<'a>), ChunkFault> {
        for (used, byte) in input.iter().enumerate() {
            match self.state {
                State::Data => {
                    let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let taken = left.min(input.len() - used);
                    self.left -= u64::try_from(taken).expect("it is at most what is left");
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((used + taken, Piece::Data(&input[used..used + taken])));
                }
                State::Done => return Ok((used, Piece::End)),
                _ => self.frame(*byte)?,
            }
            if self.state == State::Done {
                return Ok((used + 1, Piece::End));
            }
        }
        Ok((input.len(), if self.state == State::Done { Piece::End } else { Piece::More }))
    }

    /// Reads one byte of framing.
    fn frame(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.state = match (self.state, byte) {
            (State::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ChunkFault);
                }
                let digit = char::from(byte).to_digit(16).ok_or(ChunkFault)?;
                State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Size { value, digits: 1.. }, b'\r') => {
                self.left = value;
                State::SizeEnd { last: value == 0 }
            }
            (State::Size { value, digits: 1.. }, b';') => {
                self.left = value;
                self.extensions += 1;
                State::Extension
            }
            (State::Extension, b'\r') => State::SizeEnd { last: self.left == 0 },
            (State::Extension, byte) if byte == b'\t' || !byte.is_ascii_control() => {
                self.extensions += 1;
                State::Extension
            }
            (State::SizeEnd { last: false }, b'\n') => State::Data,
            (State::SizeEnd { last: true }, b'\n') => State::LastCr,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::LastCr, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(ChunkFault),
        };
        if self.extensions > EXTENSIONS_MAX { Err(ChunkFault) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkFault, Chunks, EXTENSIONS_MAX, Piece};

    /// Reads `wire` in pieces of `size`: the body and how much was used, `None` for the end not reached.
    fn read(wire: &[u8], size: usize) -> Result<Option<(Vec<u8>, usize)>, ChunkFault> {
        let (mut chunks, mut body, mut used) = (Chunks::default(), Vec::new(), 0);
        while used < wire.len() {
            let (taken, piece) = chunks.step(&wire[used..wire.len().min(used + size)])?;
            used += taken;
            match piece {
                Piece::Data(data) => body.extend_from_slice(data),
                Piece::End => return Ok(Some((body, used))),
                Piece::More => {}
            }
        }
        Ok(None)
    }

    fn check(wire: &str, expected: Result<Option<(&str, usize)>, ChunkFault>) {
        for size in [1, 2, 3, 7, 4096] {
            let found = read(wire.as_bytes(), size);
            let expected =
                expected.map(|whole| whole.map(|(body, used)| (body.as_bytes().to_vec(), used)));
            assert_eq!(found, expected, "{wire:?} in pieces of {size}");
        }
    }

    #[test]
    fn chunks_are_read_in_any_pieces() {
        check("0\r\n\r\n", Ok(Some(("", 5))));
        check("3\r\nabc\r\n0\r\n\r\nGET", Ok(Some(("abc", 13))));
        check("3;a=b\r\nabc\r\n02\r\nde\r\n0000\r\n\r\n", Ok(Some(("abcde", 28))));
        check("A\r\n0123456789\r\n0\r\n\r\n", Ok(Some(("0123456789", 20))));
        check("3\r\nabc\r\n0\r\n", Ok(None));
        check("", Ok(None));
    }

    #[test]
    fn wrong_framing_is_refused() {
        for wire in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+3\r\nabc",
            " 3\r\nabc",
            "0x3\r\nabc",
            "3 \r\nabc",
            "3\nabc",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "0\r\nTrailer: x\r\n\r\n",
            "0\r\n\n",
            "3\r\rabc",
            "3;a\nabc",
            "3;\0\r\nabc",
            "ffffffffffffffffff\r\n",
            "00000000003\r\nabc\r\n",
        ] {
            check(wire, Err(ChunkFault));
        }
        check(&format!("3;{}\r\nabc\r\n", "x".repeat(EXTENSIONS_MAX)), Err(ChunkFault));
    }
}
