//! The wallet page, embedded in the program: no file is ever opened for a client.

use super::Answer;
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::{Request, Response};
use crate::primitives::hash::sha256;
use crate::wire::shown;
use std::sync::LazyLock;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/static/", $name)))),*]
    };
}

/// The parts of the page; what of `static/` is not here is not served.
const FILES: &[(&str, &[u8])] = files![
    "address.js",
    "amount.js",
    "api.js",
    "app.js",
    "blocks.js",
    "check.svg",
    "copy.svg",
    "dom.js",
    "engraving.svg",
    "format.js",
    "forms.js",
    "icon.svg",
    "index.html",
    "live.js",
    "peers.js",
    "reorganization.js",
    "store.js",
    "style.css",
    "sync.js",
    "view-chain.js",
    "view-mine.js",
    "view-network.js",
    "view-notice.js",
    "view-open.js",
    "view-send.js",
    "view-status.js",
    "view-transaction.js",
    "view-wallet.js",
];

/// The entity tag of each file, by which a browser sees whether its copy is still right.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |(_, bytes): &(&str, &[u8])| format!("\"{}\"", hex::encode(&sha256(&[*bytes])[..8]));
    FILES.iter().map(tag).collect()
});

/// `GET /` and `/network`: the page, which looks at its own path.
///
/// # Errors
/// None.
pub fn index(_: &Api, request: &Request) -> Answer {
    file(request, "index.html")
}

/// `GET /static/<file>`: a part of the page.
///
/// # Errors
/// No such file.
pub fn part(_: &Api, request: &Request) -> Answer {
    file(request, request.param("file"))
}

fn file(request: &Request, name: &str) -> Answer {
    let missing = || ApiError::NoFile(shown(name));
    let place = FILES.iter().position(|(known, _)| *known == name).ok_or_else(missing)?;
    let (tag, kind) = (&TAGS[place], content_type(name).ok_or_else(missing)?);
    let is_fresh = request.headers.get("if-none-match").is_some_and(|held| holds(held, tag));
    // Of one kind both times: a browser puts the fields of a 304, what the page may do among them, over
    // those that it has kept.
    let (status, bytes) = if is_fresh { (304, &[][..]) } else { (200, FILES[place].1) };
    let response = Response::new(status, kind, bytes);
    // Kept by browsers, but asked about each time: a new version of the node shows its own page.
    Ok(response.with_header("ETag", tag.as_str()).with_header("Cache-Control", "no-cache"))
}

/// Whether `If-None-Match` names this tag (RFC 9110, 13.1.2).
fn holds(field: &str, tag: &str) -> bool {
    field.split(',').map(str::trim).any(|held| held == "*" || held.trim_start_matches("W/") == tag)
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_page_is_embedded_and_has_a_type() {
        let mut there: Vec<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/static"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| content_type(name).is_some())
                .collect();
        there.sort();
        assert_eq!(there, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert_eq!(content_type("package.json"), None);
    }

    #[test]
    fn tags_are_compared_as_lists() {
        for (field, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("a", false),
            ("\"ab\"", false),
            ("", false),
        ] {
            assert_eq!(holds(field, "\"a\""), expected, "{field}");
        }
    }
}
