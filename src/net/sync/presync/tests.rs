//! Branches that are worth it, that are not, and peers that change their mind.

use super::*;
use crate::consensus::connect::{next_bits, proof_target};
use crate::consensus::params::TEMPLATE_VERSION;
use crate::primitives::{Hash256, Height, Target, U256};
use crate::testkit::solve;

/// A clock that is ahead of every header made here.
const LATE: UnixTime = UnixTime(u32::MAX);

/// The easiest chain there is: every other hash is a block.
fn params() -> ChainParams {
    let mut params = ChainParams::dev();
    params.retarget.easiest = Target::power_of_two(255);
    params.check().expect("sound parameters");
    params
}

fn genesis(params: &ChainParams) -> Stem {
    let genesis = params.genesis();
    let facts = ParentFacts {
        height: Height::GENESIS,
        time: genesis.time,
        bits: genesis.bits,
        grandparent_time: None,
    };
    Stem { hash: genesis.hash(), facts, work: params.retarget.easiest.work() }
}

/// A header on `parent`; `salt` tells branches apart.
fn next(params: &ChainParams, parent: &Stem, salt: u8) -> Header {
    let mut header = Header {
        version: TEMPLATE_VERSION,
        previous: parent.hash,
        commitment: Hash256::from_bytes([salt; 32]),
        time: parent.facts.time.plus(10),
        bits: next_bits(params, &parent.facts),
        nonce: 0,
    };
    let target = proof_target(params, &parent.facts, header.time);
    solve(&mut header, target);
    header
}

fn step(params: &ChainParams, parent: &Stem, header: &Header) -> Stem {
    let work = check_header(params, header, &parent.facts, LATE).expect("a valid header");
    Stem { hash: header.hash(), facts: parent.facts.child(header), work: parent.work + work }
}

/// `count` headers on genesis, and where they lead.
fn branch(count: usize, salt: u8) -> (Vec<Header>, Stem) {
    let params = params();
    let mut at = genesis(&params);
    let headers = (0..count).map(|_| {
        let header = next(&params, &at, salt);
        at = step(&params, &at, &header);
        header
    });
    (headers.collect(), at)
}

/// What a peer with this branch answers who is asked for what follows `hash`.
fn after(branch: &[Header], hash: BlockHash) -> Vec<Header> {
    let place = branch.iter().position(|header| header.previous == hash).unwrap_or(branch.len());
    branch[place..].iter().take(HEADERS_MAX).copied().collect()
}

fn needing(needed: Work) -> Presync {
    Presync::new(genesis(&params()), needed, 7)
}

/// Asks `peer` until the walk is over; returns what may be stored.
fn walk(
    mut presync: Presync,
    mut peer: impl FnMut(BlockHash) -> Vec<Header>,
) -> Result<(Vec<Header>, Taken), PresyncError> {
    let mut stored = Vec::new();
    loop {
        match presync.take(&params(), peer(presync.last()), LATE)? {
            Taken::More => {}
            Taken::Store(headers) => stored.extend(headers),
            Taken::StoreLast(headers) => {
                stored.extend(headers);
                return Ok((stored, Taken::StoreLast(Vec::new())));
            }
            end @ (Taken::TooLight(_) | Taken::Early(_)) => return Ok((stored, end)),
        }
    }
}

#[test]
fn a_branch_is_stored_from_the_needed_work_on_and_not_below() {
    for length in [1, 15, 1_999, 2_000, 2_001, 4_000, 4_001] {
        let (headers, end) = branch(length, 1);
        let whole = walk(needing(end.work), |hash| after(&headers, hash)).unwrap();
        assert_eq!(whole, (headers.clone(), Taken::StoreLast(Vec::new())), "{length}");

        let short = &headers[..length - 1];
        let (stored, ended) = walk(needing(end.work), |hash| after(short, hash)).unwrap();
        assert!(stored.is_empty(), "{length}");
        assert!(matches!(ended, Taken::TooLight(work) if work < end.work), "{length}");
    }
}

#[test]
fn a_million_easy_headers_take_four_kilobytes() {
    let params = params();
    let mut at = genesis(&params);
    let mut presync = needing(Work::new(U256::MAX));
    for batch in 1..=500 {
        let headers = (0..HEADERS_MAX).map(|_| {
            let header = next(&params, &at, 1);
            at = Stem { hash: header.hash(), facts: at.facts.child(&header), ..at };
            header
        });
        let headers = headers.collect();
        assert_eq!(presync.take(&params, headers, LATE), Ok(Taken::More));
        assert_eq!(presync.hashes.len(), batch);
    }
    assert_eq!(presync.last(), at.hash);
    assert!(presync.last.work > genesis(&params).work);
    assert!(presync.hashes.capacity() * size_of::<u64>() <= 2 * 500 * 8);
    assert!(size_of::<Presync>() <= 512, "{}", size_of::<Presync>());
}

#[test]
fn a_branch_that_never_gets_heavy_ends_at_a_bound() {
    let (headers, _) = branch(HEADERS_MAX, 1);
    let mut presync = needing(Work::new(U256::MAX));
    presync.hashes = vec![0; BATCHES_MAX];
    assert_eq!(presync.take(&params(), headers, LATE), Err(PresyncError::TooLong));
    assert!(!PresyncError::TooLong.is_lie());
}

#[test]
fn headers_that_prove_a_lie_are_named() {
    let (headers, end) = branch(20, 1);
    let stranger = branch(20, 2).0[10];
    type Change = fn(&mut Vec<Header>, Header);
    let table: [(Change, &str); 5] = [
        (|headers, other| headers[10] = other, "follow each other"),
        (|headers, _| headers.swap(10, 11), "follow each other"),
        (|headers, _| headers[19].bits.0 += 1, "expected bits"),
        (|headers, _| headers[19].time = UnixTime(5), "at least the parent's"),
        (|headers, _| headers.resize(HEADERS_MAX + 1, headers[0]), "at most 2000"),
    ];
    for (change, expected) in table {
        let mut made = headers.clone();
        change(&mut made, stranger);
        let error = needing(end.work).take(&params(), made, LATE).unwrap_err();
        assert!(error.is_lie() && error.to_string().contains(expected), "{expected}: {error}");
    }
    let mut made = headers.clone();
    let target = params().retarget.easiest;
    while target.is_met_by(&made[19].hash()) {
        made[19].nonce += 1;
    }
    let error = needing(end.work).take(&params(), made, LATE).unwrap_err();
    assert!(matches!(error, PresyncError::Header(HeaderError::NoProofOfWork { .. })), "{error}");
}

#[test]
fn a_header_from_the_future_ends_the_branch_and_blames_nobody() {
    let (headers, end) = branch(20, 1);
    let ahead = params().latest_time(Height(10), UnixTime(0)).0;
    let now = UnixTime(headers[9].time.0 - ahead);
    let taken = needing(end.work).take(&params(), headers.clone(), now);
    assert!(matches!(taken, Ok(Taken::Early(1..))), "{taken:?}");
    let enough = branch(10, 1).1.work;
    let taken = needing(enough).take(&params(), headers.clone(), now);
    assert_eq!(taken, Ok(Taken::StoreLast(headers[..10].to_vec())));
}

#[test]
fn a_lying_second_pass_is_caught_at_its_first_batch() {
    let ((good, end), (other, _)) = (branch(6_000, 1), branch(6_000, 2));
    let batches = |headers: &[Header]| headers.chunks(HEADERS_MAX).map(<[_]>::to_vec).collect();
    let [good, other]: [Vec<Vec<Header>>; 2] = [batches(&good), batches(&other)];
    let mut presync = needing(end.work);
    for batch in &good {
        assert_eq!(presync.take(&params(), batch.clone(), LATE), Ok(Taken::More));
    }
    // In the place of the first, of a later one, and one that is cut.
    for (place, wrong) in [(0, &other[0]), (1, &other[1]), (2, &good[2][..1_999].to_vec())] {
        let mut again = presync.clone();
        for batch in &good[..place] {
            assert_eq!(again.take(&params(), batch.clone(), LATE), Ok(Taken::Store(batch.clone())));
        }
        assert_eq!(again.take(&params(), wrong.clone(), LATE), Ok(Taken::More), "{place}");
        assert_eq!((again.last(), again.restarts), (again.stem.hash, 1), "{place}");
        assert!(again.hashes.is_empty() && again.again.is_none(), "{place}");
    }
    // One that joins and differs below only: the last header's hash is not all that counts.
    let mut twisted = good[0].clone();
    twisted[5] = other[0][5];
    assert_eq!(presync.take(&params(), twisted, LATE), Ok(Taken::More));
    assert_eq!(presync.restarts, 1);
}

#[test]
fn a_branch_that_has_grown_meanwhile_is_the_same() {
    let ((headers, _), (_, needed)) = (branch(4_500, 1), branch(4_300, 1));
    let mut asked = 0;
    let peer = |hash| {
        asked += 1;
        // Of the third batch 300 are there at first.
        after(&headers[..if asked <= 3 { 4_300 } else { 4_500 }], hash)
    };
    let (stored, _) = walk(needing(needed.work), peer).unwrap();
    assert_eq!(stored, headers);
    assert_eq!(asked, 6);
}

#[test]
fn a_peer_that_reorganizes_is_followed_and_one_that_does_so_for_ever_is_not() {
    let branches = [1, 2].map(|salt| branch(4_001, salt));
    let needed = branches[0].1.work.max(branches[1].1.work);
    for changes in 0..=RESTARTS_MAX + 1 {
        // Each time that the second pass begins it shows the other branch.
        let (mut asked, mut which, mut left) = (0_usize, 0, changes);
        let peer = |hash| {
            if asked > 0 && hash == genesis(&params()).hash && left > 0 && asked % 2 == 1 {
                (which, left) = (1 - which, left - 1);
            }
            asked += 1;
            after(&branches[which].0, hash)
        };
        let walked = walk(needing(needed), peer);
        if changes <= RESTARTS_MAX {
            assert_eq!(walked.unwrap().0, branches[changes as usize % 2].0, "{changes}");
        } else {
            assert_eq!(walked, Err(PresyncError::Changing));
        }
    }
    assert!(!PresyncError::Changing.is_lie());
}
