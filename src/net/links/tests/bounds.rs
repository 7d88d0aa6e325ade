//! What is held, link by link and in all.

use super::by_hand;
use crate::net::links::post::{Held, Post};
use crate::net::links::*;
use std::time::Instant;

#[test]
fn all_links_together_are_bounded_and_what_is_long_leaves_room_for_what_is_short() {
    let (post, _wake) = Post::new().unwrap();
    let fill = |text: &str| {
        let mut ends = Vec::new();
        for id in (1..=60).map(LinkId) {
            ends.push((0..100_000).find_map(|_| post.send(id, text.to_owned()).err()).unwrap());
        }
        ends
    };
    assert!((1..=60).all(|id| post.register(LinkId(id), UNASKED_MAX)));
    assert!(fill(&"x".repeat(1_000_000)).contains(&LinkFull::Busy));
    assert!(post.held().long <= LONG_MAX && post.held().small == 0);
    assert_eq!(post.send(LinkId(60), "small".to_owned()), Ok(()));
    assert!(fill(&"x".repeat(60_000)).contains(&LinkFull::Busy));
    assert!(post.held().small <= SMALL_MAX && post.held().small > SMALL_MAX - 60_100);
    fill(&"x".repeat(1_000));
    let (id, half) = (LinkId(61), "x".repeat(SHARE / 2 - TEXT_COST));
    assert!(post.register(id, UNASKED_MAX));
    let sent = [(); 3].map(|()| post.send(id, half.clone()));
    assert_eq!(sent, [Ok(()), Ok(()), Err(LinkFull::Busy)], "its share, whatever the others do");
    post.end(id, LinkEnd::Left);
    (1..=60).for_each(|id| post.end(LinkId(id), LinkEnd::Left));
    assert_eq!(post.held(), Held::default());
    (62..=LINKS_MAX as u64).for_each(|id| assert!(post.register(LinkId(id), 0)));
    assert!(!post.register(LinkId(1_000), 0));
}

#[test]
fn a_text_counts_until_it_is_dealt_with() {
    let (post, _wake) = Post::new().unwrap();
    let id = LinkId(1);
    assert!(post.register(id, TEXT_MAX));
    for (length, held) in [
        (1_000, Held { small: 1_000 + TEXT_COST, long: 0 }),
        (UNASKED_MAX + 1, Held { small: 0, long: UNASKED_MAX + 1 }),
    ] {
        post.deliver(id, "x".repeat(length));
        assert_eq!(post.held(), held);
        assert!(post.take(Duration::ZERO).is_some());
        assert_eq!(post.held(), held, "it is being read");
        post.end(id, LinkEnd::Left);
        assert_eq!((post.held(), post.take(Duration::ZERO)), (held, None));
        post.done(id);
        assert_eq!(post.held(), Held::default());
        assert!(matches!(post.take(Duration::ZERO), Some(LinkEvent::Closed { .. })));
        assert!(post.register(id, TEXT_MAX));
    }
}

#[test]
fn of_long_texts_only_those_come_for_which_there_is_room() {
    let (post, _wake) = Post::new().unwrap();
    let (one, two, three) = (LinkId(1), LinkId(2), LinkId(3));
    assert!([one, two, three].iter().all(|id| post.register(*id, UNASKED_MAX)));
    [(one, TEXT_MAX), (two, TEXT_MAX), (three, 200_000)].iter().for_each(|(id, bytes)| {
        post.expect(*id, *bytes);
        post.set_unfinished(*id, UNASKED_MAX + 1);
    });
    assert_eq!([one, two, three].map(|id| post.has_room(id)), [true, false, true]);
    assert!(post.held().long <= LONG_MAX);
    post.deliver(one, "x".repeat(TEXT_MAX));
    assert_eq!([one, two].map(|id| post.has_room(id)), [false, false], "it is not dealt with");
    assert!(post.take(Duration::ZERO).is_some());
    post.done(one);
    assert_eq!([one, two].map(|id| post.has_room(id)), [true, true]);
    (1..=3).for_each(|id| post.end(LinkId(id), LinkEnd::Left));
    assert_eq!(post.held(), Held::default());
}

#[test]
fn whoever_holds_most_for_long_gives_way() {
    let (post, _wake) = Post::new().unwrap();
    let ids: Vec<_> = (1..=20).map(LinkId).collect();
    assert!(ids.iter().all(|id| post.register(*id, UNASKED_MAX)));
    let most = ids[7];
    let fill = || while post.send(most, "x".repeat(1_000)).is_ok() {};
    ids.iter().for_each(|id| post.set_unfinished(*id, UNASKED_MAX - 1_000));
    fill();
    post.set_unfinished(ids[0], UNASKED_MAX);
    let soon = Instant::now();
    let later = soon + 2 * HOLD_MAX;
    assert!(post.is_full() && ids.iter().all(|id| !post.has_room(*id)));
    assert!(post.register(LinkId(100), UNASKED_MAX) && post.has_room(LinkId(100)));
    assert_eq!(post.gives_way(soon), None, "nobody has had the time");
    assert_eq!(post.gives_way(later), Some(most));
    post.end(most, LinkEnd::Busy);
    assert_eq!((post.is_full(), post.gives_way(later)), (false, None));
    assert!(post.has_room(ids[0]));
}

#[test]
fn a_text_that_has_left_in_part_counts_as_a_whole() {
    let (mut link, post, _near, now) = by_hand();
    let length = 2_000_000;
    while !link.has_unsent() {
        let _ = post.send(LinkId(1), "x".repeat(length));
        link.turn(&post, false, now).unwrap();
    }
    let held = post.held().long;
    assert!(held > 0 && held.is_multiple_of(length + TEXT_COST), "{held}");
    // Whoever takes a little now and then holds it no longer than whoever takes nothing.
    let late = now + TEXT_TIME_MAX;
    let ends = (0..8).find_map(|_| link.turn(&post, false, late).err());
    assert_eq!(ends, Some(LinkEnd::Stuck));
}
