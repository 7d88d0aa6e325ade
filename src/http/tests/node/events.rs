//! What `GET /events` and `GET /live` tell, and to whom.

use super::super::PATIENCE;
use super::{Client, Node, dev_accounts};
use crate::http::live::LIVE_CLIENTS_MAX;
use crate::node::Origin;
use crate::node::ports::{PeerControl, SyncState};
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

fn listen(node: &Node, fields: &str) -> Client {
    let mut client = node.connect();
    client.send(&format!("GET /events HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client
}

const HANDSHAKE: &str = "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A client that has shaken hands for a WebSocket, with the status of the answer.
fn shake(node: &Node, fields: &str) -> (u16, Client) {
    let mut client = node.connect();
    client.send(&format!("{HANDSHAKE}{fields}\r\n"));
    let answer = client.head().unwrap();
    if answer.status == 101 {
        let accept = answer.field("sec-websocket-accept");
        assert_eq!(accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.field("upgrade").as_deref(), Some("websocket"));
        assert_eq!(answer.field("connection").as_deref(), Some("Upgrade"));
    }
    (answer.status, client)
}

/// The messages of a client that listens over a WebSocket.
fn socket(node: &Node) -> WebSocket<TcpStream> {
    let (status, client) = shake(node, "");
    assert_eq!(status, 101);
    WebSocket::from_partially_read(client.stream, client.buffer, Role::Client, None)
}

/// The data of the next message of this name.
fn told(socket: &mut WebSocket<TcpStream>, name: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no message {name}");
        let Message::Text(text) = socket.read().unwrap() else { continue };
        let mut message: Value = serde_json::from_str(text.as_str()).unwrap();
        assert_eq!(message.as_object().unwrap().len(), 2, "{message}");
        if message["event"] == name {
            return message["data"].take();
        }
    }
}

#[test]
fn a_socket_tells_the_same_as_the_stream() {
    let node = Node::new();
    let (mut stream, mut socket) = (listener(&node), socket(&node));
    assert_eq!(told(&mut socket, "status")["network"], "dev");
    let own = node.wallet();
    node.ok(201, "POST /mine", "");
    let transfer = node.transfer(&dev_accounts()[0], 1, 0);
    node.handle().submit_transfer(transfer, Origin::Anyone).unwrap();
    node.ok(201, "POST /node", r#"{"node":"a:1"}"#);
    node.ok(200, "POST /miner", r#"{"threads":2}"#);
    for name in ["status", "block", "transaction", "peers", "miner"] {
        let data = told(&mut socket, name);
        assert_eq!(data, event(&mut stream, name), "{name}");
        assert!(!data.to_string().contains(&own), "{name}");
    }
}

#[test]
fn a_node_that_wants_to_speak_goes_on_to_the_network() {
    let node = Node::new();
    let (status, mut client) = shake(&node, "Sec-WebSocket-Protocol: farthing-peer\r\n");
    assert_eq!(status, 101);
    let peers = &node.parts().peers;
    let deadline = Instant::now() + PATIENCE;
    while peers.links.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the network gets it");
    }
    let (mut stream, from) = peers.links.lock().unwrap().pop().unwrap();
    assert_eq!(from, client.stream.local_addr().unwrap());
    // It is told nothing of the events, and takes none of the places for those who listen.
    stream.set_nonblocking(false).unwrap();
    stream.write_all(b"hello").unwrap();
    assert_eq!(client.take(5).unwrap(), b"hello");
}

#[test]
fn sockets_and_streams_share_their_places() {
    let node = Node::new();
    let streams: Vec<_> = (0..LIVE_CLIENTS_MAX / 2).map(|_| listener(&node)).collect();
    let sockets: Vec<_> = (0..LIVE_CLIENTS_MAX / 2).map(|_| socket(&node)).collect();
    assert_eq!(shake(&node, "").0, 503);
    let mut refused = listen(&node, "");
    assert_eq!(refused.answer().status, 503);
    drop(streams);
    let deadline = Instant::now() + PATIENCE;
    while shake(&node, "").0 != 101 {
        assert!(Instant::now() < deadline, "no place came back");
    }
    drop(sockets);
}

/// A client that has its stream, and has been told the status.
fn listener(node: &Node) -> Client {
    let mut client = listen(node, "");
    let head = client.head().unwrap();
    assert_eq!(
        (head.status, head.field("content-type").as_deref()),
        (200, Some("text/event-stream"))
    );
    assert_eq!(head.field("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(head.field("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(line(&mut client), "retry: 2000");
    assert_eq!(line(&mut client), "");
    let status = event(&mut client, "status");
    assert_eq!(status["network"], "dev");
    client
}

/// The next line, which ends with a line feed alone.
fn line(client: &mut Client) -> String {
    loop {
        if let Some(end) = client.buffer.iter().position(|byte| *byte == b'\n') {
            let line = client.take(end + 1).unwrap();
            return String::from_utf8(line[..end].to_vec()).unwrap();
        }
        assert!(client.fill(), "the stream has ended");
    }
}

/// The data of the next event with this name.
fn event(client: &mut Client, name: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no event {name}");
        let Some(found) = line(client).strip_prefix("event: ").map(str::to_owned) else { continue };
        let data = line(client);
        if found == name {
            assert_eq!(line(client), "");
            return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        }
    }
}

#[test]
fn what_happens_is_told_to_all_who_listen() {
    let node = Node::new();
    let mut clients = [listener(&node), listener(&node)];
    let own = node.wallet();
    let mined = node.ok(201, "POST /mine", "");
    let transfer = node.transfer(&dev_accounts()[0], 1, 0);
    node.handle().submit_transfer(transfer.clone(), Origin::Anyone).unwrap();
    node.ok(201, "POST /node", r#"{"node":"a:1"}"#);
    for client in &mut clients {
        let status = event(client, "status");
        assert_eq!(status["wallet_set_up"], true);
        assert!(!status.to_string().contains(&own));
        let block = event(client, "block");
        assert_eq!((&block["index"], &block["hash"]), (&1.into(), &mined["block"]["hash"]));
        assert_eq!((&block["transactions"], &block["disconnected"]), (&1.into(), &0.into()));
        assert_eq!(event(client, "transaction")["id"], transfer.id().to_string());
        assert_eq!(event(client, "peers")["count"], 1);
    }
    node.ok(200, "POST /miner", r#"{"threads":2}"#);
    assert_eq!(event(&mut clients[0], "miner")["threads"], 2);
    node.parts().peers.sync.lock().unwrap().state = SyncState::Behind;
    assert_eq!(event(&mut clients[0], "status")["synced"], false);
    assert_eq!(node.parts().peers.list().len(), 1);
}

/// The block with which a reorganization ends. One from before the client came may be told first.
fn reorganization(client: &mut Client) -> Value {
    loop {
        let told = event(client, "block");
        if told["disconnected"] != 0 {
            return told;
        }
    }
}

#[test]
fn a_reorganization_tells_how_many_blocks_gave_way() {
    let (node, other) = (Node::new(), Node::new());
    node.wallet();
    other.wallet();
    node.ok(201, "POST /mine", "");
    let mut client = listener(&node);
    for _ in 0..2 {
        other.ok(201, "POST /mine", "");
    }
    let blocks = other.get("/chain?from=1");
    for block in blocks.as_array().unwrap() {
        node.ok(201, "POST /broadcast-block", &format!(r#"{{"block":{block}}}"#));
    }
    let told = reorganization(&mut client);
    assert_eq!((&told["hash"], &told["disconnected"]), (&blocks[1]["hash"], &1.into()));
}

#[test]
fn a_reorganization_tells_each_account_what_became_of_its_payments() {
    let (node, other) = (Node::new(), Node::new());
    let own = node.wallet();
    other.wallet();
    let before = node.get("/status");
    assert_eq!(before["last_reorganization"], Value::Null);
    node.fails((404, "no-reorganization"), &format!("GET /reorganization/{own}"), "");
    node.ok(201, "POST /mine", "");
    // The second is paid with coins of a block that gives way.
    let payer = &dev_accounts()[0];
    let from = node.address_of(&payer.public_key());
    let kept = node.transfer(payer, 1, 0);
    node.handle().submit_transfer(kept.clone(), Origin::Anyone).unwrap();
    let lost =
        node.ok(201, "POST /transaction", &format!(r#"{{"recipient":"{from}","amount":3}}"#));
    node.ok(201, "POST /mine", "");
    let mut client = listener(&node);
    for _ in 0..3 {
        other.ok(201, "POST /mine", "");
    }
    for block in other.get("/chain?from=1").as_array().unwrap() {
        node.ok(201, "POST /broadcast-block", &format!(r#"{{"block":{block}}}"#));
    }
    let told = reorganization(&mut client);
    assert_eq!((&told["disconnected"], &told["waiting_again"]), (&2.into(), &1.into()));
    assert!(!told.to_string().contains(&own), "{told}");
    let last = &node.get("/status")["last_reorganization"];
    for (name, expected) in [("fork", 0), ("replaced", 2), ("waiting", 1), ("dropped", 1)] {
        assert_eq!(last[name], expected, "{name}");
    }
    let ours = node.get(&format!("/reorganization/{own}"));
    assert_eq!((&ours["replaced"], &ours["rewards_lost"]), (&2.into(), &20.into()));
    assert_eq!(ours["waiting"], serde_json::json!([]));
    assert_eq!(ours["dropped"][0]["id"], lost["transaction"]["id"]);
    assert_eq!(ours["dropped"][0]["amount"], 3);
    assert!(ours["dropped"][0]["why"].as_str().unwrap().contains("insufficient"), "{ours}");
    let theirs = node.get(&format!("/reorganization/{from}"));
    assert_eq!(theirs["waiting"][0]["id"], kept.id().to_string());
    assert_eq!(
        (&theirs["waiting"][0]["sender"], &theirs["rewards_lost"]),
        (&from.into(), &0.into())
    );
}

#[test]
fn places_are_bounded_and_come_back() {
    let node = Node::new();
    let mut clients: Vec<_> = (0..LIVE_CLIENTS_MAX).map(|_| listener(&node)).collect();
    let mut refused = listen(&node, "");
    let answer = refused.answer();
    assert_eq!((answer.status, answer.code().as_str()), (503, "busy"));
    clients.truncate(8);
    let deadline = Instant::now() + PATIENCE;
    while listen(&node, "").head().is_none_or(|head| head.status != 200) {
        assert!(Instant::now() < deadline, "no place came back");
    }
}

#[test]
fn foreign_pages_and_proxies_take_few_places_wherever_their_browser_is() {
    let node = Node::new();
    let taken: Vec<_> = [
        "Origin: http://evil.com\r\n",
        // As an image or a script of a page, which names no origin.
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "X-Forwarded-For: 10.0.0.1\r\n",
    ]
    .into_iter()
    .cycle()
    .map(|fields| (fields, listen(&node, fields)))
    .map(|(fields, mut client)| (fields, client.head().unwrap().status, client))
    .take_while(|(_, status, _)| *status == 200)
    .collect();
    assert_eq!(taken.len(), 4);
    for (fields, ..) in &taken {
        assert_eq!(listen(&node, fields).answer().status, 503, "{fields}");
    }
    // Those of the machine itself are left, for its own page as well.
    let own = format!("Origin: http://127.0.0.1:{}\r\n", node.address.port());
    for fields in ["", "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n", &own] {
        assert_eq!(listen(&node, fields).head().unwrap().status, 200, "{fields}");
        assert_eq!(shake(&node, fields).0, 101, "{fields}");
    }
}

#[test]
fn stopping_ends_the_streams() {
    let mut node = Node::new();
    let mut client = listener(&node);
    node.running.take().unwrap().stop();
    node.parts = None;
    node.spawner.join_all();
    client.rest();
}
