//! One checksummed line of text, the unit of both logs, and bounded reading of such lines.
//!
//! ```text
//! {"crc32c":"89abcdef","batch":"…","block":…}
//!            ^^^^^^^^ ^^^^^^^^^^^^^^^^^^^^^^^^ the CRC-32C is over these bytes
//! ```
//!
//! Every line has exactly one spelling: the frame is compared byte for byte and the checksum must
//! be in lower case, so that no change of a byte goes unseen because it "means the same". The
//! line break is outside the checksum; what guards it is written in `text`.

use std::io::{self, BufRead, Read};

/// How a line begins.
const HEAD: &[u8] = b"{\"crc32c\":\"";
/// Hexadecimal digits of a CRC-32C.
const CRC_DIGITS: usize = 8;
/// Where the covered bytes begin: after the closing quote of the checksum.
pub const COVERED_AT: usize = HEAD.len() + CRC_DIGITS + 1;

/// What is wrong with a line as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It is not framed as a line of ours.
    #[error("expected a line that begins with its crc32c and ends with a brace")]
    Form,
    /// Its bytes do not match the checksum.
    #[error("its bytes have checksum {found:08x}, the line says {expected:08x}")]
    Checksum {
        /// What the line says.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
}

/// Starts a line in `out`; the covered bytes are pushed after it, up to the closing brace, and
/// then the line is sealed.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(HEAD);
    out.extend_from_slice(b"00000000\"");
}

/// Writes the checksum into a line whose covered bytes are complete (no line break at its end).
pub fn seal(line: &mut [u8]) {
    let digits = format!("{:08x}", crc32c::crc32c(&line[COVERED_AT..]));
    line[HEAD.len()..HEAD.len() + CRC_DIGITS].copy_from_slice(digits.as_bytes());
}

/// The covered bytes of a line (without its line break), if frame and checksum hold.
pub fn open(line: &[u8]) -> Result<&[u8], LineFault> {
    let expected = stated_crc(line).ok_or(LineFault::Form)?;
    let covered = &line[COVERED_AT..];
    if covered.last() != Some(&b'}') {
        return Err(LineFault::Form);
    }
    let found = crc32c::crc32c(covered);
    if found != expected {
        return Err(LineFault::Checksum { expected, found });
    }
    Ok(covered)
}

/// The checksum a line states, if the line is framed as one of ours.
pub fn stated_crc(line: &[u8]) -> Option<u32> {
    let rest = line.strip_prefix(HEAD)?;
    let (digits, rest) = rest.split_at_checked(CRC_DIGITS)?;
    rest.first().filter(|byte| **byte == b'"')?;
    u32::try_from(lower_hex(digits)?).ok()
}

/// Up to 16 lower-case hexadecimal digits as a number; anything else is none.
pub fn lower_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// Whether `rest` begins with a whole, valid line that goes on with something else than a line
/// break. A write that was torn never leaves this: after its whole lines stand line breaks. So
/// the line break was damaged, and the line may have been acknowledged.
pub fn is_line_without_its_break(rest: &[u8]) -> bool {
    let Some(expected) = stated_crc(rest) else {
        return false;
    };
    let (mut crc, mut done) = (0, COVERED_AT);
    let ends = (COVERED_AT..rest.len().saturating_sub(1)).filter(|at| rest[*at] == b'}');
    for at in ends {
        crc = crc32c::crc32c_append(crc, &rest[done..=at]);
        done = at + 1;
        if crc == expected {
            return true;
        }
    }
    false
}

/// What reading a line met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A line that ended with a line break (which is not in the buffer).
    Line,
    /// The end of the input, after bytes that no line break ends.
    Unterminated,
    /// More bytes than a line may have; the buffer holds the beginning.
    TooLong,
    /// The end of the input.
    End,
}

/// Reads lines in bounded memory and knows where it stands.
pub struct Lines<R> {
    input: R,
    offset: u64,
    line_max: usize,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `line_max` bytes, line break not counted; `input` begins at offset 0.
    pub fn new(input: R, line_max: usize) -> Self {
        Self { input, offset: 0, line_max }
    }

    /// Bytes taken from the input so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Replaces `line` by the next line.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Piece> {
        line.clear();
        let most = u64::try_from(self.line_max).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.input.by_ref().take(most).read_until(b'\n', line)?;
        self.offset += u64::try_from(read).expect("a read is shorter than 2^64 bytes");
        Ok(match line.last() {
            None => Piece::End,
            Some(b'\n') => {
                line.pop();
                Piece::Line
            }
            Some(_) if line.len() > self.line_max => Piece::TooLong,
            Some(_) => Piece::Unterminated,
        })
    }

    /// Takes the rest of a line that is too long, keeping none of it. Tells whether a line break
    /// ended it.
    pub fn skip_rest(&mut self) -> io::Result<bool> {
        loop {
            let waiting = self.input.fill_buf()?;
            let (taken, ended) = match waiting.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (waiting.len(), waiting.is_empty()),
            };
            let broken = ended && taken > 0;
            self.input.consume(taken);
            self.offset += u64::try_from(taken).expect("a buffer is shorter than 2^64 bytes");
            if ended {
                return Ok(broken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line without its line break, over these covered bytes.
    fn line(covered: &str) -> Vec<u8> {
        let mut line = Vec::new();
        begin(&mut line);
        line.extend_from_slice(covered.as_bytes());
        seal(&mut line);
        line
    }

    #[test]
    fn a_line_has_one_spelling() {
        let good = line(",\"n\":{}}");
        assert_eq!(open(&good), Ok(&b",\"n\":{}}"[..]));
        let text = String::from_utf8(good.clone()).unwrap();
        let upper =
            text[..COVERED_AT].to_uppercase().replace("CRC32C", "crc32c") + &text[COVERED_AT..];
        assert_ne!(upper, text, "the example needs a letter in its checksum");
        let cases = ["", "{", "{\"crc32c\":\"", &text[..COVERED_AT], &upper, &text[1..]];
        for bad in cases {
            assert_eq!(open(bad.as_bytes()), Err(LineFault::Form), "{bad:?}");
        }
        assert_eq!(open(&line(",\"n\":1")), Err(LineFault::Form), "no closing brace");
        let changed = text.replace('n', "m");
        assert!(matches!(open(changed.as_bytes()), Err(LineFault::Checksum { .. })));
    }

    #[test]
    fn a_whole_line_is_found_wherever_its_line_break_was_lost() {
        let whole = line(",\"n\":[{},{\"m\":{}}]}");
        let with = |tail: &str| [&whole, tail.as_bytes()].concat();
        let cases = [
            (with(""), false),
            (with("\0"), true),
            (with("}"), true),
            (with("*{\"crc32c\":\"0123"), true),
            (whole[..whole.len() - 1].to_vec(), false),
            (whole[1..].to_vec(), false),
            (Vec::new(), false),
        ];
        for (rest, expected) in cases {
            let shown = String::from_utf8_lossy(&rest);
            assert_eq!(is_line_without_its_break(&rest), expected, "{shown}");
        }
    }

    #[test]
    fn lines_are_read_within_their_bound() {
        let mut lines = Lines::new(&b"ab\nabc\n\nabcdefghij\nabcde"[..], 3);
        let mut line = Vec::new();
        let mut next = |expected: Piece, text: &str, offset: u64| {
            assert_eq!(lines.next(&mut line).unwrap(), expected);
            assert_eq!((line.as_slice(), lines.offset()), (text.as_bytes(), offset));
            expected == Piece::TooLong && lines.skip_rest().unwrap()
        };
        next(Piece::Line, "ab", 3);
        next(Piece::Line, "abc", 7);
        next(Piece::Line, "", 8);
        assert!(next(Piece::TooLong, "abcd", 12), "a line break ends it");
        assert!(!next(Piece::TooLong, "abcd", 23), "the input ends it");
        next(Piece::End, "", 24);
    }
}
