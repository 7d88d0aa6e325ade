//! The page in a real browser, every button of it, on real nodes.
//!
//! `FARTHING_SCREENSHOTS=<directory>` also writes pictures of it. `FARTHING_SKIP_BROWSER` leaves all
//! of this out.

use crate::harness::{Node, Start, wait, wait_until};
use crate::webdriver::{Driver, Page};
use farthing::primitives::AddressPrefix;
use farthing::testkit::TestKey;
use serde_json::json;
use std::net::UdpSocket;
use std::path::PathBuf;

/// Keys as WebDriver writes them.
const ENTER: &str = "\u{e007}";
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const END: &str = "\u{e010}";
const HOME: &str = "\u{e011}";

/// A text that is a script if a page takes it for markup.
const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\">&lt;b&gt;";

/// The widest of the narrow screens in use, and the narrowest.
const PHONE: (u32, u32) = (390, 844);
const NARROWEST: (u32, u32) = (320, 640);

/// A node's page in a browser of its own, up to date.
pub fn page(driver: &Driver, node: &Node) -> Page {
    let page = driver.browser();
    show(&page, node, "/");
    page
}

fn show(page: &Page, node: &Node, path: &str) {
    page.open(&format!("http://{}{path}", node.address()));
    page.read("#link-text", "Live");
}

pub fn friend() -> String {
    TestKey::dev(2).public.to_address(AddressPrefix::Dev)
}

pub fn says_nothing_bad(page: &Page) {
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// Closes the message in the corner, so that the next one is surely a new one.
fn done(page: &Page, message: &str) {
    page.read("#toast", message);
    page.click("#toast .close");
    page.see_no("#toast .message");
}

#[test]
fn a_wallet_is_created_shown_once_and_loaded() {
    let Some(driver) = Driver::start() else { return };
    let node = Node::dev();
    let page = page(&driver, &node);
    page.allow_clipboard(&format!("http://{}", node.address()));
    page.see("#wallet[data-state=none]");
    assert!(page.sees("#wallet-empty") && !page.sees("#wallet-body"));
    page.read("#send-why", "Create or load a wallet");
    page.click("#load-wallet");
    let refused = node.get("/wallet");
    page.read("#wallet-note", refused.json()["message"].as_str().unwrap());

    page.click("#create-wallet");
    page.see("#key-dialog");
    let address = page.text("#key-address");
    assert_eq!(page.attribute("#key-private", "data-hidden"), "true");
    assert!(page.text("#key-private").starts_with('•'));
    page.click("#key-show");
    let key = page.text("#key-private");
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    let file = std::fs::read_to_string(node.file("wallet")).unwrap();
    assert_eq!(file.lines().nth(1), Some(key.as_str()));
    page.click("#key-show");
    assert!(page.text("#key-private").starts_with('•'));
    page.click("#key-copy");
    page.until("the key on the clipboard", |page| page.clipboard() == key);
    page.click("#key-download");
    let saved = page.download();
    assert!(saved.contains(&address) && saved.contains(&key), "{saved}");
    page.click("#key-done");
    page.see_no("#key-dialog");
    assert!(!page.text("body").contains(&key), "the key stays in the page");

    page.see("#wallet[data-state=ready]");
    assert_eq!(page.text("#address"), address);
    assert_eq!(page.text("#funds-amount"), "0.00");
    page.click("#copy-address");
    page.until("the address on the clipboard", |page| page.clipboard() == address);
    page.click("#load-wallet");
    done(&page, "The wallet was loaded.");

    // A second wallet is asked for, and may be declined.
    page.click("#create-wallet");
    page.see("#ask-dialog");
    page.click("#ask-no");
    page.see_no("#ask-dialog");
    assert_eq!(page.text("#address"), address);
    page.click("#create-wallet");
    page.click("#ask-yes");
    page.see("#key-dialog");
    assert_ne!(page.text("#key-address"), address);
    page.click("#key-done");
    says_nothing_bad(&page);
}

#[test]
fn a_page_that_the_browser_has_kept_works_as_well() {
    let Some(driver) = Driver::start() else { return };
    let node = Node::dev();
    let page = page(&driver, &node);
    for path in ["/network", "/", "/", "/network"] {
        show(&page, &node, path);
        let sheets = page.run("return [...document.styleSheets].length", &json!([]));
        assert!(sheets.as_u64() > Some(0), "{path} has no style: {sheets}");
    }
    says_nothing_bad(&page);
}

#[test]
fn blocks_are_mined_one_by_one_and_in_a_row() {
    let Some(driver) = Driver::start() else { return };
    let node = Node::dev();
    node.create_wallet();
    let page = page(&driver, &node);
    page.read("#blocks-empty", "The chain starts here");
    page.click("#mine");
    page.read("#toast", "10.00 coins are yours");
    page.see("li.block[data-height='1']");
    page.read("#funds-amount", "10.00");
    page.read("#fact-height", "1");

    page.fill("#miner-threads", "0");
    page.click("#miner-switch");
    page.read("#mine-note", "whole number of threads");
    // What was typed stays, whatever arrives before the switch is pressed.
    page.fill("#miner-threads", &format!("2{ENTER}"));
    wait_until("two threads", || node.status()["miner"]["threads"] == 2);
    page.click("#mine");
    page.see("li.block[data-height='2']");
    page.click("#miner-switch");
    page.see("#miner-switch[aria-checked=true]");
    page.read("#miner-state", "2 threads");
    page.read("#miner-state", "found");
    wait_until("the node to mine by itself", || node.height() > 3);
    page.fill("#miner-threads", &format!("1{ENTER}"));
    page.read("#miner-state", "1 thread ");
    wait_until("one thread", || node.status()["miner"]["threads"] == 1);
    page.click("#miner-switch");
    page.see("#miner-switch[aria-checked=false]");
    page.read("#miner-state", "Off");
    assert_eq!(node.status()["miner"]["on"], false);
    says_nothing_bad(&page);
}

#[test]
fn a_search_for_a_block_can_be_stopped() {
    let Some(driver) = Driver::start() else { return };
    // On the main network a block takes millions of hashes.
    let node = Start::default().network("main").node();
    node.create_wallet();
    let page = page(&driver, &node);
    // The first blocks take a second or less of an idle core, so a search may be over before it is
    // stopped: then once more.
    page.until("a stopped search", |page| {
        page.click("#mine");
        page.run(
            "const stop = document.getElementById('mine-cancel'); if (!stop.hidden) stop.click()",
            &json!([]),
        );
        page.until("an outcome", |page| {
            page.text("#mine") == "Mine a block" && page.sees("#toast .message")
        });
        page.text("#toast").contains("Stopped")
    });
    assert!(!page.sees("#mine-cancel") && !page.sees("#mine-progress"));
    says_nothing_bad(&page);
}

#[test]
fn a_payment_is_checked_confirmed_and_arrives_on_the_other_page_without_reloading() {
    let Some(driver) = Driver::start() else { return };
    let (payer, payee) = (Node::dev(), Node::dev());
    payer.create_wallet();
    let address = payee.create_wallet();
    payer.add_peer(&payee);
    payer.mine();
    wait_until("the block at the other node", || payee.height() == 1);
    let (from, to) = (page(&driver, &payer), page(&driver, &payee));
    to.read("#funds-amount", "0.00");
    to.click("#tab-open");
    to.read("#transactions-empty", "Nothing is waiting");

    inline_errors(&from, &address);
    from.fill("#send-recipient", &address);
    from.fill("#send-amount", "2.5");
    from.fill("#send-fee", "0.01");
    from.fill("#send-memo", HOSTILE);
    from.click("#send-submit");
    from.see("#send-dialog");
    assert_eq!(from.text("#confirm-amount"), "2.50");
    assert_eq!(from.text("#confirm-recipient"), address);
    let details = from.text("#confirm-details");
    for part in ["0.01", "2.51", HOSTILE, "7.49"] {
        assert!(details.contains(part), "{part} in {details}");
    }
    from.click("#confirm-back");
    from.see_no("#send-dialog");
    from.click("#send-submit");
    from.click("#confirm-send");
    from.see_no("#send-dialog");
    done(&from, "transaction");
    from.read("#funds-amount", "7.49");
    assert_eq!(from.text("#send-amount"), "");

    // It appears on the other page, as text, and goes when it is mined.
    to.read("#transactions li.transaction .memo", HOSTILE);
    to.read("#pending", "2.50 arriving");
    to.read("#open-count", "1");
    from.click("#tab-open");
    from.read("#pending", "2.51 leaving");
    from.read("#transactions li.transaction .memo", HOSTILE);
    from.click("#load-transactions");
    from.click("#mine");
    to.read("#funds-amount", "2.50");
    to.until("no open transactions", |page| page.count("#transactions li") == 0);
    from.until("no open transactions", |page| page.count("#transactions li") == 0);
    to.click("#tab-chain");
    to.click("li.block[data-height='2'] .block-head");
    to.read("li.block[data-height='2'] .memo", HOSTILE);
    for page in [&from, &to] {
        assert_eq!(page.count("img[src=x]"), 0);
        assert!(page.run("return window.hacked ?? null", &json!([])).is_null());
        says_nothing_bad(page);
    }
    a_refusal_is_told(&from, &payer);
}

fn inline_errors(page: &Page, recipient: &str) {
    page.click("#send-submit");
    for field in ["recipient", "amount"] {
        page.until(field, |page| !page.text(&format!("#send-{field}-error")).is_empty());
    }
    page.fill("#send-recipient", &recipient.replace("fard1", "far1"));
    page.until("a wrong network", |page| !page.text("#send-recipient-error").is_empty());
    page.fill("#send-recipient", &page.text("#address"));
    page.read("#send-recipient-error", "your own");
    page.fill("#send-recipient", recipient);
    page.until("no error", |page| page.text("#send-recipient-error").is_empty());
    for amount in ["-1", "0", "abc", "1.123456789", "11"] {
        page.fill("#send-amount", amount);
        page.until(amount, |page| !page.text("#send-amount-error").is_empty());
        page.click("#send-submit");
        assert!(!page.sees("#send-dialog"), "{amount}");
    }
    page.click("#send-more summary");
    page.fill("#send-fee", "x");
    page.until("a bad fee", |page| !page.text("#send-fee-error").is_empty());
    page.fill("#send-memo", &"é".repeat(40));
    page.read("#send-memo-error", "80 bytes");
}

/// The coins go while the payment waits for its confirmation.
fn a_refusal_is_told(page: &Page, node: &Node) {
    page.fill("#send-recipient", &friend());
    page.fill("#send-amount", "5");
    page.click("#send-submit");
    page.see("#send-dialog");
    let funds = node.get("/balance").expect(200)["funds"].clone();
    node.send(&friend(), funds);
    let refused = node.post("/transaction", &json!({"recipient": friend(), "amount": 5}));
    page.click("#confirm-send");
    page.read("#confirm-note", refused.expect(500)["message"].as_str().unwrap());
    page.click("#confirm-back");
    page.see_no("#send-dialog");
    says_nothing_bad(page);
}

#[test]
fn tabs_and_blocks_open_by_mouse_and_by_keyboard() {
    let Some(driver) = Driver::start() else { return };
    let node = Node::dev();
    node.create_wallet();
    for _ in 0..25 {
        node.mine();
    }
    let page = page(&driver, &node);
    let selected = |tab: &str| {
        page.see(&format!("#tab-{tab}[aria-selected=true]"));
        page.see(&format!("#panel-{tab}"));
        assert_eq!(page.count("[role=tab][aria-selected=true]"), 1);
        assert_eq!(page.count("[role=tabpanel]:not([hidden])"), 1);
    };
    selected("chain");
    page.click("#tab-open");
    selected("open");
    for (tab, key, to) in [
        ("open", LEFT, "chain"),
        ("chain", LEFT, "open"),
        ("open", RIGHT, "chain"),
        ("chain", END, "open"),
        ("open", HOME, "chain"),
    ] {
        page.keys(&format!("#tab-{tab}"), key);
        selected(to);
    }
    page.see("li.block[data-height='25']");
    assert_eq!(page.count("li.block"), 20);
    page.click("#older-blocks");
    page.see("li.block[data-height='0']");
    assert_eq!(page.count("li.block"), 26);
    assert!(!page.sees("#older-blocks"));
    page.click("#load-chain");
    page.until("the newest blocks alone", |page| page.count("li.block") == 20);

    let head = "li.block[data-height='25'] .block-head";
    page.click(head);
    page.see("li.block[data-height='25'] .block-body");
    assert_eq!(page.attribute(head, "aria-expanded"), "true");
    let body = page.text("li.block[data-height='25'] .block-body");
    assert!(body.contains(&node.tip()) && body.contains("New coins"), "{body}");
    // A new block leaves the open one open.
    node.mine();
    page.see("li.block[data-height='26']");
    assert!(page.sees("li.block[data-height='25'] .block-body"));
    page.keys(head, ENTER);
    page.see_no("li.block[data-height='25'] .block-body");
    says_nothing_bad(&page);
}

#[test]
fn nodes_are_added_listed_and_removed() {
    let Some(driver) = Driver::start() else { return };
    let (node, peer) = (Node::dev(), Node::dev());
    let page = page(&driver, &node);
    page.click("#nav-network");
    page.read("#nodes-empty", "This node is on its own");
    for (address, said) in [
        ("", "Enter host and port"),
        ("http://localhost:1", "Leave out http://"),
        ("localhost", "Enter host and port"),
        ("localhost:70000", "1 to 65535"),
    ] {
        page.fill("#node-address", address);
        page.click("#add-node");
        page.read("#node-address-error", said);
    }
    // Itself it knows only once it has asked.
    page.fill("#node-address", &node.address());
    page.click("#add-node");
    let refused = node.post("/node", &json!({"node": node.address()})).expect(400);
    page.read("#nodes-note", refused["message"].as_str().unwrap());

    page.fill("#node-address", &peer.address());
    page.click("#add-node");
    done(&page, "Node added successfully.");
    let row = format!("li.node[data-node='{}']", peer.address());
    page.read(&row, "Height 0");
    page.read("#fact-peers", "1");
    page.click("#load-nodes");
    page.see(&row);
    assert!(!page.sees("#nodes-empty"));
    page.click(&format!("button.remove[data-node='{}']", peer.address()));
    done(&page, "Node removed.");
    page.see_no(&row);
    // It may come by itself; then it has no address here.
    drop(peer);
    page.click("#load-nodes");
    page.see("#nodes-empty");
    page.read("#about", &node.tip()[..6]);
    page.click("#nav-wallet");
    page.see("#place-wallet");
    page.click("#nav-network");
    page.run("history.back()", &json!([]));
    page.see("#place-wallet");
    says_nothing_bad(&page);
}

#[test]
fn a_fork_is_resolved_and_the_page_follows() {
    let Some(driver) = Driver::start() else { return };
    let (ours, theirs) = (Node::dev(), Node::dev());
    for (node, blocks) in [(&ours, 2), (&theirs, 5)] {
        node.create_wallet();
        for _ in 0..blocks {
            node.mine();
        }
    }
    let (lost, won) = (ours.tip(), theirs.tip());
    let page = page(&driver, &ours);
    page.see(&format!("li.block[data-hash='{lost}']"));
    page.read("#funds-amount", "20.00");
    page.click("#resolve-conflicts");
    done(&page, "Local chain kept.");
    page.click("#nav-network");
    page.fill("#node-address", &theirs.address());
    page.keys("#node-address", ENTER);
    page.read("#toast", "Node added successfully.");
    page.click("#nav-wallet");
    page.click("#resolve-conflicts");
    page.until("the outcome", |page| {
        let said = page.text("#toast");
        said.contains("Chain was replaced!") || said.contains("Local chain kept.")
    });
    page.see(&format!("li.block[data-hash='{won}']"));
    page.until("the lost block to go", |page| page.count(&format!("[data-hash='{lost}']")) == 0);
    page.read("#funds-amount", "0.00");
    assert_eq!(ours.tip(), won);
    says_nothing_bad(&page);
}

/// An address of this machine that other machines use; asking for the way there sends nothing.
fn address_of_this_machine() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

#[test]
fn a_page_opened_from_another_machine_needs_the_token() {
    let Some(driver) = Driver::start() else { return };
    let Some(ip) = address_of_this_machine() else {
        println!("skipped: this machine has no address but its own");
        return;
    };
    let node = Start::default().flag("--bind").flag("0.0.0.0").node();
    let address = node.create_wallet();
    let page = driver.browser();
    page.open(&format!("http://{ip}:{}/", node.port));
    page.see("#wallet[data-state=locked]");
    page.read("#send-why", "Open the wallet");
    page.click("#enter-token");
    page.see("#token-dialog");
    page.fill("#token-input", "wrong");
    page.click("#token-use");
    page.read("#token-error", "did not accept");
    let token = std::fs::read_to_string(node.file("token")).unwrap();
    page.fill("#token-input", token.trim());
    page.click("#token-use");
    page.see_no("#token-dialog");
    page.see("#wallet[data-state=ready]");
    assert_eq!(page.text("#address"), address);
    page.click("#mine");
    page.read("#funds-amount", "10.00");
    // What does not help on such a page the browser leaves out, and says so.
    let mut complaints = page.complaints();
    complaints.retain(|one| !one.contains("Cross-Origin-Opener-Policy header has been ignored"));
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn nothing_stands_out_at_the_side_of_any_screen() {
    let Some(driver) = Driver::start() else { return };
    let (node, peer) = lively();
    let page = page(&driver, &node);
    page.resize(NARROWEST.0, NARROWEST.1, 1);
    let fits =
        |what: &str| assert!(page.overhang() <= 0.0, "{what} hangs over by {}", page.overhang());
    page.see("li.block");
    fits("the wallet");
    page.click("li.block .block-head");
    fits("an open block");
    page.click("#tab-open");
    page.see("#transactions li");
    fits("an open transaction");
    page.click("#send-more summary");
    page.fill("#send-recipient", &peer.create_wallet());
    page.fill("#send-amount", "1.00000001");
    page.fill("#send-memo", &"W".repeat(64));
    page.click("#send-submit");
    page.see("#send-dialog");
    fits("the confirmation");
    page.click("#confirm-back");
    page.click("#create-wallet");
    page.see("#ask-dialog");
    fits("a question");
    page.click("#ask-yes");
    page.see("#key-dialog");
    page.click("#key-show");
    fits("the new key");
    page.click("#key-done");
    let widths = [NARROWEST.0, PHONE.0, 600, 700, 800, 1000, 1100, 1440];
    for width in widths {
        page.resize(width, 800, 1);
        fits(&format!("the wallet, {width} wide,"));
    }
    page.click("#nav-network");
    page.read("#nodes", "Not reachable");
    for width in widths {
        page.resize(width, 800, 1);
        fits(&format!("the network, {width} wide,"));
    }
    says_nothing_bad(&page);
}

/// A node with a history, an open transaction and peers, and one of the peers.
fn lively() -> (Node, Node) {
    let (node, peer, third) = (Node::dev(), Node::dev(), Node::dev());
    let own = node.create_wallet();
    peer.create_wallet();
    node.add_peer(&peer);
    node.add_peer(&third);
    let agree = || {
        let tips = || (node.tip(), peer.tip());
        wait_until("both on one tip", || tips().0 == tips().1);
    };
    for amount in [2.5, 0.75, 12.0] {
        node.mine();
        node.mine();
        agree();
        peer.mine();
        agree();
        node.post("/transaction", &json!({"recipient": friend(), "amount": amount})).expect(201);
        let back = json!({"recipient": own, "amount": 1.2, "fee": 0.001, "memo": "thank you"});
        peer.post("/transaction", &back).expect(201);
        wait("both payments", || (node.open_transactions().len() == 2).then_some(()));
        node.mine();
        agree();
    }
    let open =
        json!({"recipient": friend(), "amount": 4.2, "fee": 0.001, "memo": "rent, November"});
    node.post("/transaction", &open).expect(201);
    // The third peer is left to go its way: the list shows one that is gone.
    drop(third);
    (node, peer)
}

#[test]
fn pictures_of_the_page_are_taken_where_wanted() {
    let Some(dir) = std::env::var_os("FARTHING_SCREENSHOTS").map(PathBuf::from) else { return };
    let Some(driver) = Driver::start() else { return };
    std::fs::create_dir_all(&dir).unwrap();
    let (node, _peer) = lively();
    let page = page(&driver, &node);
    page.see("li.block");
    // Without a scroll bar there need be no room for it.
    page.run("document.documentElement.style.scrollbarGutter = 'auto'", &json!([]));
    let take = |name: &str, scheme: &str, (width, height, scale): (u32, u32, u32), top: &str| {
        page.prefer(scheme);
        page.resize(width, height, scale);
        let script =
            "document.activeElement.blur(); document.querySelector(arguments[0]).scrollIntoView()";
        page.run(script, &json!([top]));
        page.settle();
        page.picture(&dir.join(name));
    };
    let (desktop, phone) = ((1440, 900, 1), (PHONE.0, PHONE.1, 2));
    take("desktop-light.png", "light", desktop, "body");
    page.click("li.block[data-height='12'] .block-head");
    page.see("li.block[data-height='12'] .block-body");
    take("desktop-dark.png", "dark", desktop, "body");
    take("phone-light.png", "light", phone, "body");
    take("phone-dark.png", "dark", phone, ".mining");
    page.resize(1440, 900, 1);
    page.fill("#send-recipient", &friend());
    page.fill("#send-amount", "3.2");
    page.click("#send-more summary");
    page.fill("#send-memo", "two cups of tea");
    page.click("#send-submit");
    page.see("#send-dialog");
    take("send.png", "light", desktop, "body");
    page.click("#confirm-back");
    page.click("#nav-network");
    page.read("#nodes", "Not reachable");
    take("network.png", "light", desktop, "body");
}
