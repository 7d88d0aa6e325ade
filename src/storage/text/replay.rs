//! Reading a block file from its first byte: what is good is handed on, what a crash left is
//! found, what is damaged is named. Changes nothing.

use std::io::{BufReader, Read};

use super::record::{self, Foreign, Place};
use super::{BATCH_BYTES_MAX, Cut, LINE_MAX, READ_AHEAD};
use crate::primitives::BlockHash;
use crate::primitives::BodyRef;
use crate::storage::append::{Cursor, Log};
use crate::storage::lines::{self, Lines, Piece};
use crate::storage::{Replay, StoreError, StoredBlock};

/// What was found in a file.
pub struct Found {
    /// Whether the first line is there; if not, the file is empty or was torn at its creation.
    pub begun: bool,
    /// Blocks handed on.
    pub blocks: u64,
    /// Bytes that are good.
    pub good_end: u64,
    /// The number of the last good batch, 0 if there is none.
    pub last_batch: u64,
    /// The incomplete last batch, if there is one.
    pub torn: Option<Cut>,
}

/// Reads all of `log`, handing every block of every complete batch to `each`.
pub fn replay(log: &Log, genesis: &BlockHash, each: &mut Replay<'_>) -> Result<Found, StoreError> {
    let input = BufReader::with_capacity(READ_AHEAD, log.cursor(0));
    let mut reader = Replayer {
        log,
        lines: Lines::new(input, LINE_MAX),
        line: Vec::new(),
        line_number: 0,
        previous: None,
        batch: Pending::default(),
        found: Found { begun: false, blocks: 0, good_end: 0, last_batch: 0, torn: None },
    };
    if reader.first_line(genesis)? {
        while reader.block_line(each)? {}
    }
    Ok(reader.found)
}

/// The lines of a batch whose last line has not been seen: their payloads, one after the other.
#[derive(Default)]
struct Pending {
    payloads: String,
    blocks: Vec<(BodyRef, u64)>,
}

struct Replayer<'a> {
    log: &'a Log,
    lines: Lines<BufReader<Cursor<'a>>>,
    line: Vec<u8>,
    line_number: u64,
    previous: Option<Place>,
    batch: Pending,
    found: Found,
}

impl Replayer<'_> {
    /// Whether the file has its first line, which must be ours.
    fn first_line(&mut self, genesis: &BlockHash) -> Result<bool, StoreError> {
        let expected = record::first_line(genesis);
        let piece = self.next_piece()?;
        match piece {
            Piece::End => return Ok(false),
            Piece::Line if self.line == expected => {}
            Piece::Unterminated if expected.starts_with(&self.line) => {
                self.found.torn = Some(self.torn_end());
                return Ok(false);
            }
            Piece::Line => return Err(self.foreign(&expected, genesis)),
            Piece::Unterminated | Piece::TooLong => {
                return Err(self.damaged("expected the first line of a block file"));
            }
        }
        self.found.begun = true;
        self.found.good_end = self.lines.offset();
        Ok(true)
    }

    fn foreign(&self, expected: &[u8], genesis: &BlockHash) -> StoreError {
        let file = self.log.path().to_path_buf();
        match record::why_foreign(&self.line) {
            Foreign::Format(found) => StoreError::Format { file, found, known: record::FORMAT },
            Foreign::Genesis(found) => {
                StoreError::Genesis { file, found, expected: genesis.to_string() }
            }
            Foreign::Damaged(_) if lines::is_line_without_its_break(&self.line) => {
                self.damaged("something else stands in the place of its line break")
            }
            Foreign::Damaged(why) => {
                log::debug!("expected {}", String::from_utf8_lossy(expected));
                self.damaged(why)
            }
        }
    }

    /// Takes one line; false at the end of the file.
    fn block_line(&mut self, each: &mut Replay<'_>) -> Result<bool, StoreError> {
        let begins_at = self.lines.offset();
        match self.next_piece()? {
            Piece::Line => {}
            Piece::TooLong => return Err(self.damaged(format!("longer than {LINE_MAX} bytes"))),
            Piece::Unterminated if lines::is_line_without_its_break(&self.line) => {
                let why = "something else stands in the place of its line break";
                return Err(self.damaged(why));
            }
            Piece::Unterminated => {
                self.found.torn = Some(self.torn_end());
                return Ok(false);
            }
            Piece::End => {
                if !self.batch.blocks.is_empty() {
                    self.found.torn = Some(self.torn_end());
                }
                return Ok(false);
            }
        }
        let (place, json) = record::parse(&self.line).map_err(|why| self.damaged(why))?;
        if !place.follows(self.previous) {
            return Err(self.damaged(out_of_order(place, self.previous)));
        }
        let body = body_at(begins_at, json);
        self.previous = Some(place);
        if place.count == 1 {
            self.log.extend_to(self.lines.offset());
            hand_on(self.log, each, (json, body, self.line_number))?;
        } else {
            if self.batch.payloads.len() + json.len() > BATCH_BYTES_MAX {
                return Err(self.damaged(format!("its batch is over {BATCH_BYTES_MAX} bytes")));
            }
            self.batch.payloads.push_str(json);
            self.batch.blocks.push((body, self.line_number));
        }
        if place.is_last() {
            self.log.extend_to(self.lines.offset());
            self.batch.hand_on(self.log, each)?;
            self.found.blocks += u64::from(place.count);
            self.found.last_batch = place.batch;
            self.found.good_end = self.lines.offset();
        }
        Ok(true)
    }

    fn next_piece(&mut self) -> Result<Piece, StoreError> {
        self.line_number += 1;
        let next = self.lines.next(&mut self.line);
        next.map_err(|cause| StoreError::from_io(self.log.path(), "read", cause))
    }

    /// Everything after the last complete batch.
    fn torn_end(&self) -> Cut {
        let first = self.batch.blocks.first();
        Cut {
            line: first.map_or(self.line_number, |(_, line)| *line),
            offset: self.found.good_end,
            bytes: self.lines.offset() - self.found.good_end,
        }
    }

    fn damaged(&self, why: impl Into<String>) -> StoreError {
        StoreError::damaged(self.log.path(), self.line_number, why)
    }
}

impl Pending {
    fn hand_on(&mut self, log: &Log, each: &mut Replay<'_>) -> Result<(), StoreError> {
        let mut rest = self.payloads.as_str();
        for (body, line) in self.blocks.drain(..) {
            let len = usize::try_from(body.payload_len()).expect("a payload was in memory");
            let (json, after) = rest.split_at(len);
            rest = after;
            hand_on(log, each, (json, body, line))?;
        }
        self.payloads.clear();
        Ok(())
    }
}

fn hand_on(
    log: &Log,
    each: &mut Replay<'_>,
    (json, body, line): (&str, BodyRef, u64),
) -> Result<(), StoreError> {
    each(StoredBlock { json, body, line, reader: log })
        .map_err(|why| StoreError::damaged(log.path(), line, why))
}

/// The reference to the payload of a line that begins at `begins_at`.
fn body_at(begins_at: u64, json: &str) -> BodyRef {
    let frame = u64::try_from(record::PAYLOAD_AT).expect("a small constant");
    let len = u32::try_from(json.len()).expect("a line is shorter than LINE_MAX");
    BodyRef::new(begins_at + frame, len)
}

fn out_of_order(place: Place, previous: Option<Place>) -> String {
    match previous {
        None => format!("batch {place}, expected the first line of batch 1"),
        Some(before) => format!("batch {place} does not follow {before}"),
    }
}

/// The line that holds the byte at `offset`, the first being 1. Reads the file up to there: for
/// messages alone.
pub fn line_number_at(log: &Log, offset: u64) -> u64 {
    let mut input = log.cursor(0).take(offset);
    let mut buffer = vec![0; READ_AHEAD];
    let mut breaks = 0u64;
    loop {
        match input.read(&mut buffer) {
            Ok(0) | Err(_) => return breaks + 1,
            Ok(read) => {
                let found = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
                breaks += u64::try_from(found).expect("a buffer is shorter than 2^64 bytes");
            }
        }
    }
}
