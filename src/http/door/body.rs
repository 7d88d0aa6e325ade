//! A request body, read whole before any handler is asked.
//!
//! Owns the limits: the route's, checked against a claimed length before a byte is read and against what
//! has arrived while reading, and the memory of all bodies together. Memory grows with what arrives,
//! never with what is claimed.

use super::chunked::{Chunks, Piece};
use super::head::BodyLength;
use super::input::{Input, is_time_out};
use super::refusal::Refusal;
use crate::http::settings::BODIES_MAX;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What is read at once. No larger than [`Input`]'s buffer, into which a surplus is put back.
const SCRATCH: usize = 8 * 1024;

/// The memory all bodies share.
#[derive(Debug, Default)]
pub struct Memory {
    used: AtomicUsize,
}

/// A body and its part of the memory, given back when it is dropped.
#[derive(Debug)]
pub struct Held<'m> {
    /// The bytes.
    pub bytes: Vec<u8>,
    memory: &'m Memory,
    counted: usize,
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The client is told.
    Refused(Refusal),
    /// The client left.
    Gone,
}

impl From<Refusal> for BodyFault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for BodyFault {
    fn from(error: io::Error) -> Self {
        if is_time_out(&error) { Self::Refused(Refusal::BodyTooSlow) } else { Self::Gone }
    }
}

impl<'m> Held<'m> {
    fn new(memory: &'m Memory) -> Self {
        Self { bytes: Vec::new(), memory, counted: 0 }
    }

    fn append(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.memory.used.fetch_add(data.len(), Ordering::Relaxed);
        self.counted += data.len();
        if self.memory.used.load(Ordering::Relaxed) > BODIES_MAX {
            return Err(Refusal::Busy);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Reads a body of at most `body_max` bytes. The caller has compared a claimed length with it already.
///
/// # Errors
/// When the body is too long, too slow or wrongly framed, the memory is full, or the client left.
pub fn read<'m>(
    input: &mut Input,
    length: BodyLength,
    body_max: usize,
    rule: (&'m Memory, Instant),
) -> Result<Held<'m>, BodyFault> {
    let (memory, deadline) = rule;
    let mut body = Held::new(memory);
    match length {
        BodyLength::Exact(length) => {
            let length = usize::try_from(length).map_err(|_| Refusal::BodyTooLarge(body_max))?;
            read_exact(input, &mut body, length, deadline)?;
        }
        BodyLength::Chunked => read_chunks(input, &mut body, body_max, deadline)?,
    }
    Ok(body)
}

fn read_exact(
    input: &mut Input,
    body: &mut Held<'_>,
    length: usize,
    deadline: Instant,
) -> Result<(), BodyFault> {
    let mut scratch = [0; SCRATCH];
    while body.bytes.len() < length {
        let wanted = SCRATCH.min(length - body.bytes.len());
        let data = input.body(&mut scratch[..wanted], deadline)?;
        if data.is_empty() {
            return Err(BodyFault::Gone);
        }
        body.append(data)?;
    }
    Ok(())
}

fn read_chunks(
    input: &mut Input,
    body: &mut Held<'_>,
    body_max: usize,
    deadline: Instant,
) -> Result<(), BodyFault> {
    let mut scratch = [0; SCRATCH];
    let mut chunks = Chunks::default();
    loop {
        let wire = input.body(&mut scratch, deadline)?.to_owned();
        if wire.is_empty() {
            return Err(BodyFault::Gone);
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let (used, piece) = chunks.step(rest).map_err(|_| Refusal::Chunks)?;
            rest = &rest[used..];
            match piece {
                Piece::Data(data) if body.bytes.len() + data.len() > body_max => {
                    return Err(Refusal::BodyTooLarge(body_max).into());
                }
                Piece::Data(data) => body.append(data)?,
                Piece::More => {}
                Piece::End => {
                    input.put_back(rest);
                    return Ok(());
                }
            }
        }
    }
}
