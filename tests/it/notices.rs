//! What the page tells of the chain by itself: reorganizations, and how far a node is that catches up.

use crate::browser::{friend, page, says_nothing_bad};
use crate::harness::{Node, wait_until};
use crate::made_up::{chain_of, with_chain};
use crate::webdriver::Driver;
use serde_json::json;
use std::path::PathBuf;

/// A node whose two newest blocks, with a payment of three coins, give way once it joins the other.
fn divided() -> (Node, Node) {
    let (node, other) = (Node::dev(), Node::dev());
    node.mine_for_a_wallet();
    other.create_wallet();
    other.add_peer(&node);
    wait_until("the common block", || other.tip() == node.tip());
    for (one, peer) in [(&node, &other), (&other, &node)] {
        one.call("DELETE", &format!("/node/{}", peer.address())).expect(200);
    }
    node.send(&friend(), json!(3));
    node.mine();
    node.mine();
    for _ in 0..3 {
        other.mine();
    }
    (node, other)
}

fn picture(page: &crate::webdriver::Page, name: &str) {
    let Some(dir) = std::env::var_os("FARTHING_SCREENSHOTS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&dir).unwrap();
    page.settle();
    page.picture(&dir.join(name));
}

#[test]
fn a_reorganization_says_which_payments_wait_again_and_which_coins_are_gone() {
    let Some(driver) = Driver::start() else { return };
    let (node, other) = divided();
    let page = page(&driver, &node);
    page.read("#funds-amount", "27.00");
    assert!(!page.sees("#notice"));
    node.add_peer(&other);
    page.read("#notice", "2 blocks were replaced by a chain with more work");
    page.read("#notice", "Your payment of 3.00 to fard1");
    page.read("#notice", "is waiting again.");
    page.read("#notice", "20.00 coins that you had mined in them are gone.");
    assert_eq!(node.tip(), other.tip());
    page.read("#funds-amount", "7.00");
    page.read("#pending", "3.00 leaving");
    picture(&page, "notice.png");
    assert!(page.overhang() <= 0.0);
    page.resize(320, 640, 2);
    assert!(page.overhang() <= 0.0);
    picture(&page, "notice-phone.png");
    page.click("#notice .close");
    page.see_no("#notice");
    // The next look does not bring it back.
    node.mine();
    page.read("#fact-height", "5");
    assert!(!page.sees("#notice"));
    says_nothing_bad(&page);
}

#[test]
fn a_node_that_catches_up_says_how_far_it_is() {
    let Some(driver) = Driver::start() else { return };
    let node = Node::dev();
    let page = page(&driver, &node);
    let (chain, blocks) = chain_of(40);
    // Its headers are known, its bodies are waited for, and in the end they do not come.
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let peer = with_chain(chain, blocks, move |_| held.recv().ok().map(|()| String::new()));
    node.post("/node", &json!({"node": peer})).expect(201);
    page.read("#link-text", "40 blocks behind");
    page.click("#nav-network");
    page.read("#about", "40 blocks behind");
    picture(&page, "catching-up.png");
    drop(hold);
    page.read("#link-text", "A peer has more blocks and does not give them");
    says_nothing_bad(&page);
}
