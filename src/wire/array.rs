//! A JSON array that is made while it is sent, element by element.

use super::list::ArrayFrame;
use std::io::{self, Read};

/// Bytes that are made at once, so that small elements do not leave one by one.
const FILL: usize = 32 * 1024;

/// Reads as a JSON array: `elements` says what comes next, `write` appends its text. Holds one element and
/// [`FILL`] bytes at most.
pub struct ArrayReader<I, W> {
    elements: I,
    write: W,
    /// `None` once the closing bracket is written.
    frame: Option<ArrayFrame>,
    buffer: Vec<u8>,
    taken: usize,
}

impl<I, W> ArrayReader<I, W>
where
    I: Iterator,
    W: FnMut(I::Item, &mut Vec<u8>) -> io::Result<()>,
{
    /// A reader of these elements.
    pub fn new(elements: I, write: W) -> Self {
        let frame = Some(ArrayFrame::new());
        Self { elements, write, frame, buffer: Vec::new(), taken: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.shrink_to(2 * FILL);
        self.taken = 0;
        while self.buffer.len() < FILL {
            let Some(mut frame) = self.frame.take() else { return Ok(()) };
            let Some(element) = self.elements.next() else {
                self.buffer.extend_from_slice(frame.end().as_bytes());
                return Ok(());
            };
            self.buffer.extend_from_slice(frame.before_element().as_bytes());
            (self.write)(element, &mut self.buffer)?;
            self.frame = Some(frame);
        }
        Ok(())
    }
}

impl<I, W> Read for ArrayReader<I, W>
where
    I: Iterator,
    W: FnMut(I::Item, &mut Vec<u8>) -> io::Result<()>,
{
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            self.refill()?;
        }
        let mut rest = &self.buffer[self.taken..];
        let read = rest.read(out)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lengths: &[usize]) {
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        let expected =
            format!("[{}]", lengths.iter().map(|l| text(*l)).collect::<Vec<_>>().join(","));
        let mut reader = ArrayReader::new(lengths.iter(), |length, out: &mut Vec<u8>| {
            out.extend_from_slice(text(*length).as_bytes());
            Ok(())
        });
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, expected);
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
        assert!(reader.buffer.capacity() <= 2 * FILL + 1_000_000);
    }

    #[test]
    fn elements_of_any_size_make_one_array() {
        check(&[]);
        check(&[0]);
        check(&[1, FILL - 3, FILL, FILL + 1, 0, 1_000_000, 2]);
        check(&[40; 5_000]);
    }

    #[test]
    fn an_element_that_cannot_be_written_is_an_error() {
        let mut reader = ArrayReader::new(0..3, |_, _: &mut Vec<u8>| Err(io::Error::other("no")));
        assert!(reader.read(&mut [0; 9]).is_err());
    }
}
