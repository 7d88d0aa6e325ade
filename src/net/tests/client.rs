//! The HTTP client against sockets that answer as they like.

use crate::net::client::{CallError, HttpClient, Pace, PeerClient, Reply};
use crate::primitives::{AddressPrefix, PeerAddress};
use crate::wire::{Announcement, Question};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

/// A server that answers one connection with these bytes, and what it was asked.
fn server(answer: Vec<u8>) -> (PeerAddress, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = PeerAddress::from_socket(listener.local_addr().unwrap()).unwrap();
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut asked, mut buffer) = (Vec::new(), [0; 4_096]);
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = socket.read(&mut buffer).unwrap();
            asked.extend_from_slice(&buffer[..read]);
        }
        let _ = socket.write_all(&answer);
        String::from_utf8(asked).unwrap()
    });
    (address, serving)
}

#[test]
fn any_status_is_an_answer_and_redirects_are_not_followed() {
    for status in [200, 201, 301, 409, 503] {
        let head =
            format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nLocation: /other\r\n\r\n{{}}");
        let (address, serving) = server(head.into_bytes());
        let answer =
            HttpClient::new(AddressPrefix::Dev).call(&address, &Question::PoolSummary, Pace::Usual);
        assert_eq!(answer, Ok(Reply { status, body: "{}".to_owned() }));
        let asked = serving.join().unwrap().to_lowercase();
        assert!(asked.starts_with("get /transactions/summary http/1.1\r\n"), "{asked}");
        assert!(!asked.contains("accept-encoding"), "{asked}");
    }
}

#[test]
fn a_post_carries_json_and_its_length() {
    let (address, serving) = server(b"HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n".to_vec());
    let answer = HttpClient::new(AddressPrefix::Dev)
        .call(&address, &Question::Announce(Announcement::default()), Pace::Usual)
        .unwrap();
    assert_eq!(answer.status, 201);
    let asked = serving.join().unwrap().to_lowercase();
    assert!(asked.starts_with("post /announce http/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/json"), "{asked}");
    assert!(asked.contains("content-length: 2\r\n"), "{asked}");
}

#[test]
fn an_endless_answer_is_cut_and_garbage_is_no_answer() {
    let long = "x".repeat(1 << 20);
    let head = "HTTP/1.1 200 x\r\n\r\n".to_owned() + &long;
    let (address, _) = server(head.into_bytes());
    let client = HttpClient::new(AddressPrefix::Dev);
    let answer = client.call(&address, &Question::PoolSummary, Pace::Usual);
    assert!(matches!(answer, Err(CallError::TooLong(_))), "{answer:?}");
    let (address, _) = server(b"SSH-2.0-x\r\n\r\n".to_vec());
    let answer =
        HttpClient::new(AddressPrefix::Dev).call(&address, &Question::PoolSummary, Pace::Usual);
    assert!(matches!(answer, Err(CallError::Unreadable)), "{answer:?}");
}

#[test]
fn a_silent_peer_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = PeerAddress::from_socket(listener.local_addr().unwrap()).unwrap();
    let start = std::time::Instant::now();
    let answer = HttpClient::new(AddressPrefix::Dev).call(
        &address,
        &Question::Headers { locator: Vec::new() },
        Pace::Quick,
    );
    assert!(matches!(answer, Err(CallError::TimedOut)), "{answer:?}");
    assert!(start.elapsed() < std::time::Duration::from_secs(4));
    drop(listener);
    let answer =
        HttpClient::new(AddressPrefix::Dev).call(&address, &Question::PoolSummary, Pace::Usual);
    assert_eq!(answer.unwrap_err().to_string(), "connection refused");
}

#[test]
fn only_spellings_of_one_socket_are_the_same_place() {
    let cases = [
        ("127.0.0.1:5000", "localhost:5000", true),
        ("[::1]:5000", "localhost:5000", true),
        ("127.0.0.1:5000", "127.0.0.1:5001", false),
        ("localhost:5000", "127.0.0.1:5001", false),
        ("10.0.0.1:5000", "10.0.0.2:5000", false),
        ("127.0.0.1:5000", "10.0.0.2:5000", false),
    ];
    let client = HttpClient::new(AddressPrefix::Dev);
    for (one, other, expected) in cases {
        let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!(client.is_same_place(&one, &other), expected, "{one} {other}");
    }
}
