//! Peers made for a test, which answer as it likes.

use crate::mirror::extend;
use farthing::primitives::{Block, UnixTime};
use farthing::testkit::TestChain;
use farthing::wire::{Handshake, PEER_VERSION, Reach, headers_to_json};
use std::thread;

/// A peer made for a test: `answer` gets path and body and gives a status and a body, or nothing, and
/// then the caller waits in vain. Returns its address.
pub fn made_up(
    answer: impl Fn(u16, &str, &str) -> Option<(u16, String)> + Send + Sync + 'static,
) -> String {
    let server = tiny_http::Server::http("127.0.0.1:0").expect("a free port");
    let at = server.server_addr().to_ip().expect("an address");
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        for mut request in server.incoming_requests() {
            let mut body = String::new();
            if request.as_reader().read_to_string(&mut body).is_err() {
                continue;
            }
            match answer(at.port(), request.url(), &body) {
                None => unanswered.push(request),
                Some((status, text)) => {
                    let response = tiny_http::Response::from_string(text);
                    // The node may have gone.
                    let _ = request.respond(response.with_status_code(status));
                }
            }
        }
    });
    at.to_string()
}

/// What a made-up peer with this chain says of itself.
pub fn greeting(chain: &TestChain, port: u16) -> String {
    let tip = chain.chain.tip();
    let handshake = Handshake {
        chain_id: chain.chain.chain_id(),
        chain: "dev".parse().expect("a short name"),
        version: PEER_VERSION,
        height: tip.height,
        tip: tip.hash,
        work: tip.total_work,
        instance: u64::from(port),
        node: Some(Reach::Port(port)),
        linked: false,
        time: now(),
    };
    handshake.to_json()
}

fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(u32::try_from(since.expect("after 1970").as_secs()).expect("before 2106"))
}

/// A peer whose chain is that of `blocks`, which it shows the headers of; `serves` says what it gives for
/// the blocks themselves.
pub fn with_chain(
    chain: TestChain,
    blocks: Vec<Block>,
    serves: impl Fn(&Block) -> Option<String> + Send + Sync + 'static,
) -> String {
    made_up(move |port, path, _| {
        if path == "/handshake" {
            return Some((200, greeting(&chain, port)));
        }
        if path.starts_with("/headers") {
            let headers: Vec<_> = blocks.iter().map(|block| block.header).collect();
            return Some((200, headers_to_json(&headers)));
        }
        if let Some(wanted) = path.strip_prefix("/blocks?hashes=") {
            let texts: Option<Vec<String>> = blocks
                .iter()
                .filter(|block| wanted.contains(&block.hash().to_string()))
                .map(&serves)
                .collect();
            return texts.map(|texts| (200, format!("[{}]", texts.join(","))));
        }
        Some((200, "[]".to_owned()))
    })
}

/// A chain of `count` blocks on the genesis of the development network.
pub fn chain_of(count: usize) -> (TestChain, Vec<Block>) {
    let mut chain = TestChain::dev();
    let blocks = (0..count).map(|_| extend(&mut chain, Vec::new())).collect();
    (chain, blocks)
}
