//! The two kinds of line in a block file: the first line, and a block with its place in its batch.
//!
//! The frame around a block has a constant length, so that where the payload will lie is known
//! while the batch, and with it the number of its lines, is still growing.

use crate::primitives::BlockHash;
use crate::storage::lines;

/// The format this program reads and writes.
pub const FORMAT: u64 = 1;

const BEFORE_FORMAT: &str = ",\"format\":";
const BEFORE_GENESIS: &str = ",\"genesis\":\"";
const AFTER_GENESIS: &str = "\"}";
const BEFORE_PLACE: &[u8] = b",\"batch\":\"";
const BEFORE_PAYLOAD: &[u8] = b"\",\"block\":";
const PLACE_AT: usize = lines::COVERED_AT + BEFORE_PLACE.len();
/// 16 digits of the batch, 4 of the index, 4 of the count, and two dashes.
const PLACE_LEN: usize = 16 + 1 + 4 + 1 + 4;
/// Where in its line a payload begins.
pub const PAYLOAD_AT: usize = PLACE_AT + PLACE_LEN + BEFORE_PAYLOAD.len();
/// What follows the payload in the file: the closing brace and the line break.
pub const AFTER_PAYLOAD: &[u8] = b"}\n";

/// Which line of which batch: batches count from 1, the lines of a batch from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the batch: one more than the one before.
    pub batch: u64,
    /// The number of the line in the batch.
    pub index: u16,
    /// How many lines the batch has.
    pub count: u16,
}

impl Place {
    /// Whether the batch ends with this line.
    pub fn is_last(self) -> bool {
        self.index.checked_add(1) == Some(self.count)
    }

    /// Whether this is the place of the line after `previous`, in the file that begins after none.
    pub fn follows(self, previous: Option<Place>) -> bool {
        let (batch, index) = match previous {
            None => (1, 0),
            Some(last) if last.is_last() => (last.batch + 1, 0),
            Some(inner) => (inner.batch, inner.index + 1),
        };
        let same_count = index == 0 || previous.is_none_or(|before| before.count == self.count);
        self.batch == batch && self.index == index && self.index < self.count && same_count
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{:04x}-{:04x}", self.batch, self.index, self.count)
    }
}

/// Adds a line with its line break to `out`; its place is filled in by [`finish`].
pub fn push(out: &mut Vec<u8>, json: &str) {
    lines::begin(out);
    out.extend_from_slice(BEFORE_PLACE);
    out.extend_from_slice(&[b'0'; PLACE_LEN]);
    out.extend_from_slice(BEFORE_PAYLOAD);
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(AFTER_PAYLOAD);
}

/// Completes a pushed line (with its line break).
pub fn finish(line: &mut [u8], place: Place) {
    let text = place.to_string();
    line[PLACE_AT..PLACE_AT + PLACE_LEN].copy_from_slice(text.as_bytes());
    let unbroken = line.len() - 1;
    lines::seal(&mut line[..unbroken]);
}

/// Place and payload of a line (without its line break), or what is wrong with it.
pub fn parse(line: &[u8]) -> Result<(Place, &str), String> {
    lines::open(line).map_err(|fault| fault.to_string())?;
    // The checksum holds, so whatever is wrong below was written that way.
    let unexpected = || "expected a batch number and a block".to_owned();
    let frame = line.get(..PAYLOAD_AT).ok_or_else(unexpected)?;
    let place = place(&frame[PLACE_AT..PLACE_AT + PLACE_LEN]).ok_or_else(unexpected)?;
    if frame[lines::COVERED_AT..PLACE_AT] != *BEFORE_PLACE
        || frame[PLACE_AT + PLACE_LEN..] != *BEFORE_PAYLOAD
    {
        return Err(unexpected());
    }
    let payload = line.get(PAYLOAD_AT..line.len() - 1).ok_or_else(unexpected)?;
    match std::str::from_utf8(payload) {
        Ok(json) => Ok((place, json)),
        Err(_) => Err("expected text in UTF-8".to_owned()),
    }
}

fn place(text: &[u8]) -> Option<Place> {
    let number = |from: usize, to: usize| lines::lower_hex(&text[from..to]);
    if text[16] != b'-' || text[21] != b'-' {
        return None;
    }
    Some(Place {
        batch: number(0, 16)?,
        index: u16::try_from(number(17, 21)?).ok()?,
        count: u16::try_from(number(22, 26)?).ok()?,
    })
}

/// The first line of a file (without its line break).
pub fn first_line(genesis: &BlockHash) -> Vec<u8> {
    let mut line = Vec::new();
    lines::begin(&mut line);
    let rest = format!("{BEFORE_FORMAT}{FORMAT}{BEFORE_GENESIS}{genesis}{AFTER_GENESIS}");
    line.extend_from_slice(rest.as_bytes());
    lines::seal(&mut line);
    line
}

/// What a first line that is not ours says.
#[derive(Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Another format.
    Format(u64),
    /// Our format, another chain.
    Genesis(String),
    /// Nothing that can be trusted, and why.
    Damaged(String),
}

/// Why a first line (without its line break) differs from [`first_line`]. Every format has its
/// number at this place, under this checksum.
pub fn why_foreign(line: &[u8]) -> Foreign {
    let covered = match lines::open(line) {
        Ok(covered) => covered,
        Err(fault) => return Foreign::Damaged(fault.to_string()),
    };
    let unexpected = || Foreign::Damaged("expected a format number and a genesis hash".to_owned());
    let after_format =
        std::str::from_utf8(covered).ok().and_then(|text| text.strip_prefix(BEFORE_FORMAT));
    let Some(after_format) = after_format else {
        return unexpected();
    };
    let digits = after_format.bytes().take_while(u8::is_ascii_digit).count();
    match after_format[..digits].parse() {
        Ok(FORMAT) => {}
        Ok(other) => return Foreign::Format(other),
        Err(_) => return unexpected(),
    }
    let genesis = after_format[digits..]
        .strip_prefix(BEFORE_GENESIS)
        .and_then(|rest| rest.strip_suffix(AFTER_GENESIS));
    genesis.map_or_else(unexpected, |found| Foreign::Genesis(found.to_owned()))
}
