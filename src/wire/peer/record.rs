//! A line of the peers file: what a node remembers of another over a restart.

use crate::primitives::peer_address::Host;
use crate::primitives::{PeerAddress, UnixTime};
use crate::wire::error::WireError;
use crate::wire::field::{Field, Optional, object};
use serde::Deserialize;
use std::fmt::Write as _;

/// A node that was met, added, removed, refused or heard of. The fields after `last_seen` are left
/// out of the text where they say nothing, so that a line without them is read as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Where it is.
    pub node: PeerAddress,
    /// Whether a person added it, so that it stays until a person removes it.
    pub manual: bool,
    /// Whether a person removed it, so that it stays away until a person adds it again.
    pub removed: bool,
    /// When it last answered; 0 if it never has.
    pub last_seen: UnixTime,
    /// When it was last called; 0 if it never was.
    pub last_tried: UnixTime,
    /// How often in a row it has not answered.
    pub failures: u32,
    /// Until when it is refused for what it did; 0 if it is not.
    pub refused_until: UnixTime,
    /// Whether it is one of those that were connected longest, to be called first.
    pub anchor: bool,
    /// Whether it has only named itself, or only those have named it that call by themselves.
    pub came: bool,
    /// The network of who named it, if it is no peer but an address in the book.
    pub source: Option<Host>,
}

#[derive(Deserialize)]
struct RawPeerRecord<'a> {
    #[serde(borrow)]
    node: Field<'a>,
    #[serde(borrow)]
    manual: Field<'a>,
    #[serde(borrow)]
    removed: Field<'a>,
    #[serde(borrow)]
    last_seen: Field<'a>,
    #[serde(borrow, default)]
    last_tried: Optional<'a>,
    #[serde(borrow, default)]
    failures: Optional<'a>,
    #[serde(borrow, default)]
    refused_until: Optional<'a>,
    #[serde(borrow, default)]
    anchor: Optional<'a>,
    #[serde(borrow, default)]
    came: Optional<'a>,
    #[serde(borrow, default)]
    source: Optional<'a>,
}

impl PeerRecord {
    /// What is known of a node of which nothing is known.
    pub const fn new(node: PeerAddress) -> Self {
        Self {
            node,
            manual: false,
            removed: false,
            last_seen: UnixTime(0),
            last_tried: UnixTime(0),
            failures: 0,
            refused_until: UnixTime(0),
            anchor: false,
            came: false,
            source: None,
        }
    }

    /// Reads what [`Self::to_json`] writes. What else a newer version may say of a node is passed over:
    /// a peer that a person added is joined by an older one as well.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str) -> Result<Self, WireError> {
        let raw = object::<RawPeerRecord<'_>>(text)?;
        let number = |field: Optional<'_>, name| {
            field.read(|field| field.u32(name)).map(Option::unwrap_or_default)
        };
        Ok(Self {
            node: raw.node.node("node")?,
            manual: raw.manual.truth("manual")?,
            removed: raw.removed.truth("removed")?,
            last_seen: UnixTime(raw.last_seen.u32("last_seen")?),
            last_tried: UnixTime(number(raw.last_tried, "last_tried")?),
            failures: number(raw.failures, "failures")?,
            refused_until: UnixTime(number(raw.refused_until, "refused_until")?),
            anchor: raw.anchor.read(|field| field.truth("anchor"))?.unwrap_or_default(),
            came: raw.came.read(|field| field.truth("came"))?.unwrap_or_default(),
            source: raw.source.read(|field| field.host("source"))?,
        })
    }

    /// `{"node","manual","removed","last_seen"}`, and of `last_tried`, `failures`,
    /// `refused_until`, `anchor`, `came` and `source` what says something.
    pub fn to_json(&self) -> String {
        let Self { node, manual, removed, last_seen, .. } = self;
        let mut text = format!(
            r#"{{"node":"{node}","manual":{manual},"removed":{removed},"last_seen":{last_seen}"#
        );
        for (name, number) in [
            ("last_tried", self.last_tried.0),
            ("failures", self.failures),
            ("refused_until", self.refused_until.0),
        ] {
            if number != 0 {
                write!(text, r#","{name}":{number}"#).expect("a String takes everything");
            }
        }
        for (name, is_so) in [("anchor", self.anchor), ("came", self.came)] {
            if is_so {
                write!(text, r#","{name}":true"#).expect("a String takes everything");
            }
        }
        if let Some(source) = &self.source {
            write!(text, r#","source":"{source}""#).expect("a String takes everything");
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_peer_record_survives_its_line(
            (manual, removed, anchor, came) in any::<(bool, bool, bool, bool)>(),
            (seen, tried, until, failures) in any::<(u32, u32, u32, u32)>(),
            source in prop::option::of(any::<[u8; 4]>()),
        ) {
            let record = PeerRecord {
                manual,
                removed,
                last_seen: UnixTime(seen),
                last_tried: UnixTime(tried),
                failures,
                refused_until: UnixTime(until),
                anchor,
                came,
                source: source.map(|ip| Host::Ip(ip.into())),
                ..PeerRecord::new("[::1]:5000".parse().unwrap())
            };
            prop_assert_eq!(PeerRecord::from_json(&record.to_json()), Ok(record));
        }
    }

    #[test]
    fn lines_of_all_ages_are_read_and_others_are_named() {
        let node = "a:1".parse::<PeerAddress>().unwrap();
        let old = r#"{"node":"a:1","manual":true,"removed":false,"last_seen":7"#;
        let known =
            PeerRecord { manual: true, last_seen: UnixTime(7), ..PeerRecord::new(node.clone()) };
        let source = Some("2001:db8::".parse().map(Host::Ip).unwrap());
        let table = [
            ("}", Ok(known.clone())),
            (r#","anchor":true}"#, Ok(PeerRecord { anchor: true, ..known.clone() })),
            (r#","came":true}"#, Ok(PeerRecord { came: true, ..known.clone() })),
            (r#","failures":3}"#, Ok(PeerRecord { failures: 3, ..known.clone() })),
            (r#","source":"[2001:db8::]"}"#, Ok(PeerRecord { source, ..known.clone() })),
            (r#","failures":-1}"#, Err("field-bad-number")),
            (r#","anchor":1}"#, Err("field-wrong-type")),
            (r#","source":"2130706433"}"#, Err("node-bad-host")),
            (r#","colour":"red","size":{"is":[1]}}"#, Ok(known)),
            (r#","manual":true}"#, Err("field-duplicate")),
        ];
        for (rest, expected) in table {
            let read = PeerRecord::from_json(&format!("{old}{rest}"));
            assert_eq!(read.map_err(|error| error.code()), expected, "{rest}");
        }
    }
}
