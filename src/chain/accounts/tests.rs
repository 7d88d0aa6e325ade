use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

type Model = BTreeMap<PublicKey, Account>;
type Batch = Vec<(PublicKey, Option<Account>)>;

fn key(number: u64) -> PublicKey {
    PublicKey::from_bytes(sha256(&[b"key", &number.to_le_bytes()]))
}

fn account(balance: u64, nonce: u64) -> Account {
    Account { balance: Amount::from_units(balance), nonce }
}

/// Some keys anywhere, and pairs whose places share 25 bits and more: the closest of 100,000.
static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let mut all: Vec<_> = (0..100_000).map(key).map(|public| (Key::of(&public), public)).collect();
    all.sort_unstable();
    let mut pairs: Vec<_> = all.windows(2).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair[0].0.common_bits(&pair[1].0)));
    assert!(pairs[19][0].0.common_bits(&pairs[19][1].0) >= 25);
    let close = pairs[..20].iter().flat_map(|pair| [pair[0].1, pair[1].1]);
    close.chain((0..60).map(key)).collect()
});

/// The root as the definition reads: bit by bit, from scratch, with bytes put together by hand.
fn naive_root(model: &Model) -> Hash256 {
    let mut leaves: Vec<_> =
        model.iter().map(|(public, account)| (sha256(&[public.as_bytes()]), *account)).collect();
    leaves.sort_by_key(|leaf| leaf.0);
    Hash256::from_bytes(naive_node(&leaves, 0))
}

fn naive_node(leaves: &[([u8; 32], Account)], depth: usize) -> [u8; 32] {
    match leaves {
        [] => [0; 32],
        [(key, account)] => {
            let mut bytes = vec![0];
            bytes.extend(key);
            bytes.extend(account.balance.units().to_le_bytes());
            bytes.extend(account.nonce.to_le_bytes());
            assert_eq!(bytes.len(), 49);
            sha256(&[&bytes])
        }
        _ => {
            let is_left = |leaf: &([u8; 32], _)| leaf.0[depth / 8] & (0x80 >> (depth % 8)) == 0;
            let (left, right) = leaves.split_at(leaves.partition_point(is_left));
            let children = [naive_node(left, depth + 1), naive_node(right, depth + 1)];
            sha256(&[&[1], &children.concat()])
        }
    }
}

fn apply_to_model(model: &mut Model, batch: &Batch) {
    for (public, account) in batch {
        match account {
            Some(account) => model.insert(*public, *account),
            None => model.remove(public),
        };
    }
}

fn check_equal(tree: &AccountTree, model: &Model) {
    assert_eq!(tree.root(), naive_root(model));
    assert_eq!(tree.len(), u64::try_from(model.len()).unwrap());
    assert_eq!(tree.is_empty(), model.is_empty());
    assert_eq!(tree.total(), Amount::checked_sum(model.values().map(|account| account.balance)));
    let listed: Vec<_> = tree.iter().collect();
    assert!(listed.is_sorted_by_key(|(public, _)| Key::of(public)));
    assert_eq!(listed.into_iter().collect::<Model>(), *model);
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let content = prop_oneof![
        2 => Just(None),
        3 => (1..1_000_u64, 0..3_u64).prop_map(|(balance, nonce)| Some(account(balance, nonce))),
    ];
    let change = (0..KEYS.len(), content).prop_map(|(i, content)| (KEYS[i], content));
    vec(vec(change, 0..40), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_batches_lead_to_the_contents_and_root_of_the_model(batches in batches()) {
        let (mut tree, mut model) = (AccountTree::new(), Model::new());
        let mut versions = vec![(tree.clone(), model.clone())];
        for batch in &batches {
            tree = tree.apply(batch.iter().copied());
            apply_to_model(&mut model, batch);
            versions.push((tree.clone(), model.clone()));
        }
        // Looked at when all is done: no version has changed since.
        for (tree, model) in &versions {
            check_equal(tree, model);
            for public in KEYS.iter() {
                prop_assert_eq!(tree.get(public), model.get(public).copied());
                let proof = tree.prove(public);
                prop_assert_eq!(proof.verify(&tree.root(), public), Ok(tree.get(public)));
            }
        }
    }

    #[test]
    fn the_way_to_the_contents_does_not_matter(batches in batches()) {
        let mut model = Model::new();
        batches.iter().for_each(|batch| apply_to_model(&mut model, batch));
        let in_batches =
            batches.iter().fold(AccountTree::new(), |tree, batch| tree.apply(batch.iter().copied()));
        let all = batches.concat();
        let one_by_one = all.iter().fold(AccountTree::new(), |tree, change| tree.apply([*change]));
        let at_once = AccountTree::new().apply(all.iter().copied());
        let from_contents = |model: &Model, reversed: bool| {
            let mut batch: Batch = model.iter().map(|(public, a)| (*public, Some(*a))).collect();
            if reversed {
                batch.reverse();
            }
            AccountTree::new().apply(batch)
        };
        for tree in
            [in_batches, one_by_one, at_once, from_contents(&model, false), from_contents(&model, true)]
        {
            check_equal(&tree, &model);
        }
    }
}

#[test]
fn undoing_a_batch_restores_the_root() {
    let before: Batch =
        KEYS.iter().step_by(2).map(|public| (*public, Some(account(5, 0)))).collect();
    let tree = AccountTree::new().apply(before);
    let block: Batch =
        KEYS.iter().step_by(3).map(|public| (*public, Some(account(6, 1)))).collect();
    let undo: Batch = block.iter().map(|(public, _)| (*public, tree.get(public))).collect();
    let next = tree.apply(block);
    assert_ne!(next.root(), tree.root());
    assert_eq!(next.apply(undo).root(), tree.root());
}

#[test]
fn roots_of_the_smallest_trees_are_the_defined_bytes() {
    let leaf = |number: u64, balance: u64, nonce: u64| {
        let place = sha256(&[key(number).as_bytes()]);
        sha256(&[&[0], &place, &balance.to_le_bytes(), &nonce.to_le_bytes()])
    };
    assert_eq!(AccountTree::new().root(), Hash256::ZERO);
    let one = AccountTree::new().apply([(key(0), Some(account(7, 9)))]);
    assert_eq!(*one.root().as_bytes(), leaf(0, 7, 9));
    // Two keys that part at the first bit: one node over two leaves.
    let first_bit = |number| Key::of(&key(number)).bit(0);
    let other = (1..).find(|number| first_bit(*number) != first_bit(0)).unwrap();
    let two = one.apply([(key(other), Some(account(1, 0)))]);
    let (a, b) = (leaf(0, 7, 9), leaf(other, 1, 0));
    let (left, right) = if first_bit(0) { (b, a) } else { (a, b) };
    assert_eq!(*two.root().as_bytes(), sha256(&[&[1], &left, &right]));
    assert_eq!(two.apply([(key(0), None)]).root().as_bytes(), &b);
    assert_eq!(two.apply([(key(0), None), (key(other), None)]).root(), Hash256::ZERO);
}

#[test]
fn two_close_keys_alone_stand_below_a_run_of_one_sided_nodes() {
    let (a, b) = (KEYS[0], KEYS[1]);
    let batch = [(a, Some(account(1, 0))), (b, Some(account(2, 0)))];
    let tree = AccountTree::new().apply(batch);
    let common = Key::of(&a).common_bits(&Key::of(&b));
    let proof = tree.prove(&a);
    assert_eq!(proof.siblings.len(), common + 1);
    assert!(proof.siblings[..common].iter().all(|sibling| *sibling == Hash256::ZERO));
    check_equal(&tree, &[(a, account(1, 0)), (b, account(2, 0))].into());
    // A key that leaves the run on the way is proved absent there.
    let stranger = KEYS[40];
    let proof = tree.prove(&stranger);
    assert_eq!((proof.end, proof.siblings.len() < common), (ProofEnd::Empty, true));
    assert_eq!(proof.verify(&tree.root(), &stranger), Ok(None));
}

#[test]
fn a_batch_in_a_pool_gives_the_same_tree() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let start: Batch = (0..20_000).map(|i| (key(i), Some(account(i + 1, 0)))).collect();
    let block: Batch =
        (10_000..30_000).map(|i| (key(i), (i % 3 > 0).then(|| account(2 * i + 1, 1)))).collect();
    let run = || AccountTree::new().apply(start.iter().copied()).apply(block.iter().copied());
    let (alone, pooled) = (run(), pool.install(run));
    let mut model = Model::new();
    apply_to_model(&mut model, &start);
    apply_to_model(&mut model, &block);
    check_equal(&alone, &model);
    check_equal(&pooled, &model);
}

#[test]
#[should_panic(expected = "an account with nothing is removed, not stored")]
fn an_empty_account_is_never_stored() {
    let _ = AccountTree::new().apply([(key(0), Some(account(0, 0)))]);
}

#[test]
fn a_total_beyond_64_bits_is_no_amount() {
    let most = account(u64::MAX, 0);
    let tree = AccountTree::new().apply([(key(0), Some(most))]);
    assert_eq!(tree.total(), Some(most.balance));
    let more = tree.apply([(key(1), Some(account(1, 0)))]);
    assert_eq!(more.total(), None);
    assert_eq!(more.apply([(key(0), None)]).total(), Some(Amount::from_units(1)));
}

#[test]
fn bits_are_read_from_the_most_significant() {
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (0x80, 0x01);
    let key = Key(bytes);
    let ones: Vec<_> = (0..DEPTH_MAX).filter(|depth| key.bit(*depth)).collect();
    assert_eq!(ones, [0, 255]);
    assert_eq!(key.common_bits(&key), 256);
    bytes[31] = 0;
    assert_eq!(key.common_bits(&Key(bytes)), 255);
    bytes[0] = 0;
    assert_eq!(key.common_bits(&Key(bytes)), 0);
}

/// Every proof that differs from `proof` in one bit, or by one sibling, or in the kind of its end.
fn mutations(proof: &AccountProof, place: [u8; 32]) -> Vec<AccountProof> {
    let flip = |hash: &[u8; 32], bit: usize| {
        let mut bytes = *hash;
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let mut mutated = Vec::new();
    for i in 0..proof.siblings.len() {
        for bit in 0..256 {
            let mut other = proof.clone();
            other.siblings[i] = Hash256::from_bytes(flip(other.siblings[i].as_bytes(), bit));
            mutated.push(other);
        }
        let mut shorter = proof.clone();
        shorter.siblings.remove(i);
        let mut longer = proof.clone();
        longer.siblings.insert(i, Hash256::ZERO);
        mutated.extend([shorter, longer]);
    }
    let flipped = |account: Account, bit: u32| {
        let (balance, nonce) = (account.balance.units(), account.nonce);
        let at = |first| 1_u64.checked_shl(bit.wrapping_sub(first)).unwrap_or(0);
        self::account(balance ^ at(0), nonce ^ at(64))
    };
    let mut ends = vec![ProofEnd::Empty];
    match proof.end {
        ProofEnd::Empty => ends.push(ProofEnd::Account(account(1, 0))),
        ProofEnd::Account(account) => {
            ends.push(ProofEnd::Other { key: place, account });
            ends.extend((0..128).map(|bit| ProofEnd::Account(flipped(account, bit))));
        }
        ProofEnd::Other { key, account } => {
            ends.push(ProofEnd::Account(account));
            ends.extend(
                (0..128).map(|bit| ProofEnd::Other { key, account: flipped(account, bit) }),
            );
            let keys = (0..256).map(|bit| flip(&key, bit));
            ends.extend(keys.map(|key| ProofEnd::Other { key, account }));
        }
    }
    let with_end = |end| AccountProof { end, ..proof.clone() };
    mutated.extend(ends.into_iter().map(with_end));
    mutated.retain(|other| other != proof);
    mutated
}

#[test]
fn no_mutation_of_a_proof_proves_anything() {
    let present = KEYS.iter().step_by(2).chain(&KEYS[..6]);
    let tree = AccountTree::new().apply(present.map(|public| (*public, Some(account(9, 4)))));
    let root = tree.root();
    let (mut found, mut other, mut empty) = (0, 0, 0);
    for public in KEYS.iter() {
        let proof = tree.prove(public);
        assert_eq!(proof.verify(&root, public), Ok(tree.get(public)));
        match proof.end {
            ProofEnd::Account(_) => found += 1,
            ProofEnd::Other { .. } => other += 1,
            ProofEnd::Empty => empty += 1,
        }
        for wrong in mutations(&proof, sha256(&[public.as_bytes()])) {
            assert!(wrong.verify(&root, public).is_err(), "{wrong:?}");
        }
        let wrong_root = Hash256::from_bytes([1; 32]);
        assert_eq!(
            proof.verify(&wrong_root, public).unwrap_err().code(),
            "account-proof-wrong-root"
        );
    }
    assert!(found > 40 && other > 0 && empty > 0, "{found} {other} {empty}");
}

#[test]
fn a_proof_says_nothing_about_another_key() {
    let tree = AccountTree::new().apply(KEYS.iter().map(|public| (*public, Some(account(3, 3)))));
    for (i, public) in KEYS.iter().enumerate() {
        let proof = tree.prove(public);
        for other in KEYS.iter().filter(|other| *other != public).skip(i % 7).step_by(7) {
            assert!(proof.verify(&tree.root(), other).is_err());
        }
    }
}

#[test]
fn a_proof_is_bounded_by_the_deepest_tree() {
    let root = Hash256::ZERO;
    let deep = |siblings| AccountProof { siblings: vec![root; siblings], end: ProofEnd::Empty };
    assert_eq!(deep(0).verify(&root, &key(0)), Ok(None));
    assert_eq!(deep(256).verify(&root, &key(0)).unwrap_err().code(), "account-proof-wrong-root");
    assert_eq!(deep(257).verify(&root, &key(0)), Err(ProofError::TooDeep(257)));
    let place = Key::of(&key(0)).0;
    let end = ProofEnd::Other { key: place, account: account(1, 0) };
    let own = AccountProof { siblings: Vec::new(), end };
    assert_eq!(own.verify(&root, &key(0)), Err(ProofError::NotInTheWay { depth: 0 }));
}
