//! Where the stored body of a block lies, as a value that the chain can carry without knowing
//! anything of files.
//!
//! Only storage makes one and only storage reads what it points at; for everybody else it is a
//! token that stands for "this body is kept, ask the store for it".

/// The place of one stored block body: the bytes of its JSON payload, without line framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyRef {
    offset: u64,
    len: u32,
}

impl BodyRef {
    /// A reference to `len` bytes at `offset` of the store. Meant for stores alone.
    pub const fn new(offset: u64, len: u32) -> Self {
        Self { offset, len }
    }

    /// Bytes from the start of the store to the payload's first byte.
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// Length of the payload in bytes: what a reader has to send, known without reading.
    pub const fn payload_len(self) -> u32 {
        self.len
    }
}
