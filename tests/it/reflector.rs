//! Nobody has a node knock at others' doors: at most a handshake, and that once in a while.

use crate::harness::{Node, Start, number_from_env, wait_until};
use crate::made_up::{chain_of, greeting, made_up};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A listener that writes down how each connection to it begins, and answers nothing of use.
struct Canary {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = heard.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut begin = [0; 512];
                let count = stream.read(&mut begin).unwrap_or(0);
                let begin = String::from_utf8_lossy(&begin[..count]).into_owned();
                hears.lock().unwrap().push(begin);
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Spellings that are no `host:port`, and such that resolvers read as addresses.
fn forms(port: u16) -> Vec<String> {
    let hosts = [
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "[127.0.0.1]",
        "[::1%25lo]",
        "[::1%lo]",
        "[::1",
        "::1",
        "\u{2460}\u{2461}\u{2466}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "localhost\u{0}",
        "localhost%00.example",
        "local host",
        "localhost\r\nX-Evil: yes",
        "-localhost",
        "localhost-",
        ".localhost",
        "loc..alhost",
        "*",
        "",
        "127.0.0.1:80",
        "user@127.0.0.1",
        "user:word@127.0.0.1",
        "127.0.0.1#@example.com",
        "127.0.0.1\\@example.com",
        "example.com/@127.0.0.1",
        "127.0.0.1%2f",
        "%31%32%37.0.0.1",
    ];
    let ports = [
        "127.0.0.1:0{}",
        "127.0.0.1:+{}",
        "127.0.0.1: {}",
        "127.0.0.1:{} ",
        " 127.0.0.1:{}",
        "127.0.0.1:{}/",
        "127.0.0.1:{}/wallet",
        "127.0.0.1:{}?x=1",
        "127.0.0.1:{}#x",
        "127.0.0.1:{}\r\nX: y",
        "127.0.0.1:{}\u{0}",
        "http://127.0.0.1:{}",
        "//127.0.0.1:{}",
        "https://127.0.0.1:{}",
        "gopher://127.0.0.1:{}/_x",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{}",
        "dict://127.0.0.1:{}",
        "127.0.0.1",
        "127.0.0.1:",
        ":{}",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:{}&x",
        "127.0.0.1:{};x",
        "127.0.0.1,10.0.0.1:{}",
        "tcp:127.0.0.1:{}",
        "127.0.0.1:{}:{}",
        "127.0.0.1:-1",
        "127.0.0.1:\u{ff15}\u{ff10}\u{ff10}\u{ff10}",
    ];
    let hosts = hosts.iter().map(|host| format!("{host}:{port}"));
    hosts.chain(ports.iter().map(|form| form.replace("{}", &port.to_string()))).collect()
}

/// A handshake of a node that says it is at `reach`.
fn handshake(instance: u64, reach: &Value) -> Value {
    let (chain, _) = chain_of(0);
    let mut said: Value = serde_json::from_str(&greeting(&chain, 1)).expect("a handshake");
    said["instance"] = json!(format!("{instance:016x}"));
    said["node"] = reach.clone();
    said
}

#[test]
fn no_spelling_of_an_address_leads_anywhere_else() {
    let (node, canary) = (Node::dev(), Canary::new());
    let forms = forms(canary.port);
    assert!(forms.len() >= 60);
    for form in forms {
        let added = node.post("/node", &json!({ "node": form }));
        assert_eq!(added.status, 400, "{form:?}: {}", added.text);
        let greeted = node.post("/handshake", &handshake(7, &json!(form)));
        assert_eq!(greeted.status, 400, "{form:?}: {}", greeted.text);
        let news = json!({"from": form, "blocks": [], "transactions": ""});
        assert_eq!(node.post("/announce", &news).status, 400, "{form:?}");
        // A list with one such address is none.
        let list = json!([format!("127.0.0.1:{}", canary.port), form]).to_string();
        let evil = made_up(move |port, path, _| match path {
            "/handshake" => Some((200, greeting(&chain_of(0).0, port))),
            "/addresses" => Some((200, list.clone())),
            _ => Some((404, r#"{"message":"no","code":"no"}"#.to_owned())),
        });
        node.post("/node", &json!({ "node": evil })).expect(201);
        node.call("DELETE", &format!("/node/{evil}")).expect(200);
    }
    assert_eq!(node.get("/nodes").expect(200)["all_nodes"], json!([]));
    assert_eq!(canary.heard(), Vec::<String>::new());
}

#[test]
fn who_is_named_often_is_called_once() {
    let (node, canary) = (Node::dev(), Canary::new());
    let victim = json!(format!("127.0.0.1:{}", canary.port));
    let list = json!([victim]).to_string();
    let evil: Vec<_> = (0..8)
        .map(|_| {
            let list = list.clone();
            made_up(move |port, path, _| match path {
                "/handshake" => Some((200, greeting(&chain_of(0).0, port))),
                "/addresses" => Some((200, list.clone())),
                _ => Some((404, r#"{"message":"no","code":"no"}"#.to_owned())),
            })
        })
        .collect();
    for evil in &evil {
        node.post("/node", &json!({ "node": evil })).expect(201);
    }
    let times = number_from_env("FARTHING_ROUNDS", 300);
    for instance in 0..times {
        let reach = if instance % 2 == 0 { victim.clone() } else { json!(canary.port) };
        node.post("/handshake", &handshake(instance, &reach)).expect(200);
        let news = json!({"from": reach, "blocks": [], "transactions": ""});
        node.post("/announce", &news).expect(200);
    }
    wait_until("the one call", || !canary.heard().is_empty());
    let heard = canary.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].starts_with("POST /handshake HTTP/1.1\r\n"), "{heard:?}");
}

#[test]
fn neither_redirects_nor_proxies_lead_away() {
    let (canary, proxy) = (Canary::new(), Canary::new());
    let mut start = Start::default();
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        start = start.variable(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    let (node, honest) = (start.node(), Node::dev());
    for status in [301, 302, 303, 307, 308] {
        for prefix in ["/", "/headers"] {
            let evil = redirecting(status, prefix, canary.port);
            node.post("/node", &json!({ "node": evil })).expect(201);
        }
    }
    honest.create_wallet();
    honest.mine();
    node.add_peer(&honest);
    wait_until("the honest chain", || node.tip() == honest.tip());
    assert_eq!((canary.heard(), proxy.heard()), (Vec::new(), Vec::new()));
}

/// A peer that sends whoever asks for something below `prefix` to another port.
fn redirecting(status: u16, prefix: &'static str, to: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (chain, _) = chain_of(3);
    let greeting = greeting(&chain, port);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut begin = [0; 4096];
            let count = stream.read(&mut begin).unwrap_or(0);
            let begin = String::from_utf8_lossy(&begin[..count]).into_owned();
            let path = begin.split(' ').nth(1).unwrap_or_default();
            let answer = if path.starts_with(prefix) {
                let to = format!("http://127.0.0.1:{to}{path}");
                format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\n")
            } else if path == "/handshake" {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", greeting.len())
            } else {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n".to_owned()
            };
            let body = if answer.contains("200 OK") { &greeting } else { "" };
            let _ = stream.write_all(format!("{answer}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    format!("127.0.0.1:{port}")
}

#[test]
fn a_node_is_no_peer_of_its_own_in_six_spellings() {
    let node = Start::default().flag("--bind").flag("0.0.0.0").node();
    let spellings = ["127.0.0.1", "localhost", "LocalHost", "127.0.0.2", "127.255.255.254"];
    let mut spellings: Vec<_> = spellings.map(str::to_owned).to_vec();
    spellings.push("[::ffff:127.0.0.1]".to_owned());
    for host in spellings {
        let name = format!("{host}:{}", node.port);
        let added = node.post("/node", &json!({ "node": name }));
        assert_eq!((added.status, &*added.code()), (400, "own-address"), "{name}: {}", added.text);
        // Nor does it call itself because somebody says that this is a node.
        let greeted = node.post("/handshake", &handshake(9, &json!(name)));
        assert!([200, 400].contains(&greeted.status), "{name}: {}", greeted.text);
    }
    let other = Node::dev();
    other.add_peer(&node);
    wait_until("a peer of its own", || node.status()["peers"] == 1);
    assert_eq!(node.get("/nodes").expect(200)["all_nodes"], json!([other.address()]));
}
