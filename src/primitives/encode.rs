//! Canonical binary encoding: fixed-width little-endian integers, one encoding per value.
//!
//! Identifiers, signatures and proof of work are only ever over these bytes.

/// Why bytes are not the encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("expected {wanted} more bytes, {left} are left")]
    TooShort {
        /// Bytes that the next field takes.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes follow the value.
    #[error("expected the end, {0} bytes follow")]
    Trailing(usize),
    /// The first byte of a transaction names no kind that is allowed there.
    #[error("expected transaction kind {expected}, got {got}")]
    Kind {
        /// The kind that belongs there.
        expected: u8,
        /// The byte that stands there.
        got: u8,
    },
    /// A memo or tag breaks its rules.
    #[error(transparent)]
    Text(#[from] super::text::TextError),
    /// A block without a coinbase.
    #[error("expected at least one transaction in a block")]
    NoCoinbase,
}

impl DecodeError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "encoding-too-short",
            Self::Trailing(_) => "encoding-trailing-bytes",
            Self::Kind { .. } => "encoding-wrong-kind",
            Self::Text(error) => error.code(),
            Self::NoCoinbase => "encoding-no-coinbase",
        }
    }
}

/// Reads fields off the front of a slice.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.0.len();
        let (head, tail) =
            self.0.split_at_checked(count).ok_or(DecodeError::TooShort { wanted: count, left })?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returns as many bytes as asked"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next byte, which stays unread.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}
