//! What goes over a live connection between nodes, one text frame each:
//!
//! - `{"ask":7,"what":"headers","locator":[...]}`: a question, with a number that its answer bears;
//! - `{"answer":7,"status":200,"body":...}`: what the same question is answered over HTTP;
//! - `{"tell":{"blocks":[...],"transactions":"..."}}`: an announcement, which nothing answers.

use super::super::block::BLOCK_JSON_MAX;
use super::super::error::WireError;
use super::super::field::Fields;
use super::super::write::Writer;
use super::announce::Announcement;
use super::question::Question;
use crate::primitives::AddressPrefix;

/// Bytes of the longest frame: an answer with the longest block, or with so much of others.
pub const FRAME_JSON_MAX: usize = BLOCK_JSON_MAX + 1024;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A question.
    Ask {
        /// Chosen by who asks; one of its questions at a time has it.
        id: u32,
        /// What is asked.
        question: Question,
    },
    /// The answer to a question.
    Answer {
        /// The question's number.
        id: u32,
        /// The status that it would have over HTTP.
        status: u16,
        /// The JSON text that it would have over HTTP.
        body: String,
    },
    /// News.
    Tell(Announcement),
}

impl Frame {
    /// Reads what [`Self::to_json`] writes. The body of an answer is JSON, and not looked at.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str, prefix: AddressPrefix) -> Result<Self, WireError> {
        let mut fields = Fields::read(text)?;
        let frame = if let Some(id) = fields.find("ask") {
            let (id, what) = (id.u32("ask")?, fields.take("what")?);
            Self::Ask { id, question: Question::read(what, &mut fields, prefix)? }
        } else if let Some(id) = fields.find("answer") {
            let status = fields.take("status")?.whole("status", 100, 599)?;
            Self::Answer {
                id: id.u32("answer")?,
                status: u16::try_from(status).expect("within its range"),
                body: fields.take("body")?.json().to_owned(),
            }
        } else {
            Self::Tell(Announcement::read_on_link(fields.take("tell")?, prefix)?)
        };
        fields.end()?;
        Ok(frame)
    }

    /// The text of the frame. `body` has to be JSON.
    pub fn to_json(&self, prefix: AddressPrefix) -> String {
        let body = if let Self::Answer { body, .. } = self { body.len() } else { 0 };
        let mut writer = Writer::with_capacity(256 + body);
        match self {
            Self::Ask { id, question } => {
                writer.json(r#"{"ask":"#).plain(id).json(r#","what":""#).json(question.what());
                writer.json("\"");
                question.write(&mut writer, prefix);
            }
            Self::Answer { id, status, body } => {
                writer.json(r#"{"answer":"#).plain(id).json(r#","status":"#).plain(status);
                writer.json(r#","body":"#).json(body);
            }
            Self::Tell(news) => {
                writer.json(r#"{"tell":"#);
                news.write_on_link(&mut writer, prefix);
            }
        }
        writer.json("}");
        writer.finish()
    }
}
