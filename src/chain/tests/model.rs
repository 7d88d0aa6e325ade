//! A second, naive implementation of the chain, to hold the first one against: maps instead of
//! trees, every root recomputed, nothing undone. It shares primitives and hash functions with the
//! first, and no code of the chain or the rules.

use crate::primitives::hash::sha256;
use crate::primitives::{Block, BlockHash, Header, PublicKey, Transfer};
use std::collections::{BTreeMap, HashMap};

/// Balance and nonce by public key.
pub type State = BTreeMap<[u8; 32], (u64, u64)>;

/// What a block pays on the development network before its first halving.
pub const SUBSIDY: u64 = 1_000_000_000;

/// floor(2^256 / (2^252 + 1)): the work of every block of the development network.
const WORK: u64 = 15;

/// The place of a block in [`Model::blocks`].
pub type Place = usize;

/// A full tree of the history range.
#[derive(Clone)]
struct Peak {
    hash: [u8; 32],
    work: u64,
    count: u64,
    times: (u32, u32),
    bits: (u32, u32),
}

impl Peak {
    fn data(&self) -> Vec<u8> {
        let mut data = self.work.to_le_bytes().to_vec();
        data.resize(32, 0);
        data.extend(self.count.to_le_bytes());
        for word in [self.times.0, self.times.1, self.bits.0, self.bits.1] {
            data.extend(word.to_le_bytes());
        }
        data
    }

    fn leaf(hash: &BlockHash, header: &Header) -> Self {
        let (time, bits) = (header.time.0, header.bits.0);
        let mut leaf =
            Self { hash: [0; 32], work: WORK, count: 1, times: (time, time), bits: (bits, bits) };
        leaf.hash = sha256(&[&[0x10], hash.as_bytes(), &leaf.data()]);
        leaf
    }

    fn join(left: &Self, right: &Self) -> Self {
        Self {
            hash: sha256(&[&[0x11], &left.hash, &left.data(), &right.hash, &right.data()]),
            work: left.work + right.work,
            count: left.count + right.count,
            times: (left.times.0, right.times.1),
            bits: (left.bits.0, right.bits.1),
        }
    }
}

fn append(peaks: &[Peak], leaf: Peak) -> Vec<Peak> {
    let mut peaks = peaks.to_vec();
    peaks.push(leaf);
    while let [.., left, right] = peaks.as_slice() {
        if left.count != right.count {
            break;
        }
        let joined = Peak::join(left, right);
        peaks.truncate(peaks.len() - 2);
        peaks.push(joined);
    }
    peaks
}

fn range_root(peaks: &[Peak]) -> [u8; 32] {
    let mut bag = peaks.last().expect("genesis is in the range").clone();
    for peak in peaks.iter().rev().skip(1) {
        bag = Peak::join(peak, &bag);
    }
    sha256(&[&[0x12], &bag.count.to_le_bytes(), &bag.hash, &bag.data()])
}

/// The account root, from the definition.
pub fn account_root(state: &State) -> [u8; 32] {
    let leaves: Vec<_> = state
        .iter()
        .map(|(public, (balance, nonce))| {
            let key = sha256(&[public]);
            let leaf = sha256(&[&[0], &key, &balance.to_le_bytes(), &nonce.to_le_bytes()]);
            (key, leaf)
        })
        .collect();
    subtree(&leaves, 0)
}

fn subtree(leaves: &[([u8; 32], [u8; 32])], depth: usize) -> [u8; 32] {
    match leaves {
        [] => [0; 32],
        [(_, leaf)] => *leaf,
        _ => {
            let right_side = |key: &[u8; 32]| key[depth / 8] & (0x80 >> (depth % 8)) != 0;
            let (right, left): (Vec<_>, Vec<_>) =
                leaves.iter().copied().partition(|(key, _)| right_side(key));
            sha256(&[&[1], &subtree(&left, depth + 1), &subtree(&right, depth + 1)])
        }
    }
}

/// The state after a block, or which rule it breaks.
pub fn execute(state: &State, height: u32, block: &Block) -> Result<State, &'static str> {
    let mut after = state.clone();
    let mut reward = SUBSIDY;
    for transfer in &block.transfers {
        debit(&mut after, height, transfer)?;
        reward += transfer.fee.units();
    }
    if block.coinbase.amount.units() != reward {
        return Err("reward");
    }
    if block.coinbase.height.0 != height {
        return Err("height");
    }
    let credits = block.transfers.iter().map(|t| (t.recipient, t.amount));
    for (recipient, amount) in credits.chain([(block.coinbase.recipient, block.coinbase.amount)]) {
        after.entry(*recipient.as_bytes()).or_insert((0, 0)).0 += amount.units();
    }
    Ok(after)
}

/// Takes amount and fee from the sender, if that is allowed.
pub fn debit(state: &mut State, height: u32, transfer: &Transfer) -> Result<(), &'static str> {
    let (balance, nonce) = get(state, &transfer.sender);
    if transfer.expiry.0 != 0 && transfer.expiry.0 < height {
        return Err("expired");
    }
    if transfer.nonce != nonce {
        return Err("nonce");
    }
    let cost = transfer.amount.units() + transfer.fee.units();
    let rest = balance.checked_sub(cost).ok_or("balance")?;
    state.insert(*transfer.sender.as_bytes(), (rest, nonce + 1));
    Ok(())
}

/// Balance and nonce of one account.
pub fn get(state: &State, key: &PublicKey) -> (u64, u64) {
    state.get(key.as_bytes()).copied().unwrap_or((0, 0))
}

/// A block that somebody made.
pub struct Made {
    /// The block; none for genesis.
    pub block: Option<Block>,
    pub hash: BlockHash,
    pub parent: Place,
    pub height: u32,
    /// Whether it and all before it are valid.
    pub valid: bool,
    /// The accounts after it; after its last valid ancestor if it is invalid.
    pub state: State,
    peaks: Vec<Peak>,
    /// When its header came to the node.
    arrival: Option<u64>,
    /// Whether its body came to the node and was kept.
    pub body: bool,
    /// Whether it and all before it are valid and with the node.
    connected: bool,
    children: Vec<Place>,
}

/// Every block that anybody made, and what a node should think of them.
pub struct Model {
    pub blocks: Vec<Made>,
    places: HashMap<BlockHash, Place>,
    pub best: Place,
    arrivals: u64,
}

impl Model {
    pub fn new(genesis: &Header, allocations: &[(PublicKey, u64)]) -> Self {
        let state = allocations.iter().map(|(key, units)| (*key.as_bytes(), (*units, 0))).collect();
        let hash = genesis.hash();
        let first = Made {
            block: None,
            hash,
            parent: 0,
            height: 0,
            valid: true,
            state,
            peaks: vec![Peak::leaf(&hash, genesis)],
            arrival: Some(0),
            body: true,
            connected: true,
            children: Vec::new(),
        };
        Self { blocks: vec![first], places: HashMap::from([(hash, 0)]), best: 0, arrivals: 0 }
    }

    /// The roots that a child of this block commits to.
    pub fn roots(&self, place: Place) -> ([u8; 32], [u8; 32]) {
        let made = &self.blocks[place];
        (account_root(&made.state), range_root(&made.peaks))
    }

    /// Notes a block that was made.
    pub fn add(&mut self, parent: Place, block: Block) -> Place {
        let (hash, height) = (block.hash(), self.blocks[parent].height + 1);
        if let Some(known) = self.places.get(&hash) {
            return *known;
        }
        let (accounts, history) = self.roots(parent);
        let rooted = *block.roots.accounts.as_bytes() == accounts
            && *block.roots.history.as_bytes() == history;
        let before = &self.blocks[parent];
        let after = execute(&before.state, height, &block);
        let valid = before.valid && rooted && after.is_ok();
        let state = if valid { after.expect("judged") } else { before.state.clone() };
        let peaks = append(&before.peaks, Peak::leaf(&hash, &block.header));
        let place = self.blocks.len();
        self.blocks.push(Made {
            block: Some(block),
            hash,
            parent,
            height,
            valid,
            state,
            peaks,
            arrival: None,
            body: false,
            connected: false,
            children: Vec::new(),
        });
        self.blocks[parent].children.push(place);
        self.places.insert(hash, place);
        place
    }

    /// Whether a header has come to the node.
    pub fn has_header(&self, place: Place) -> bool {
        self.blocks[place].arrival.is_some()
    }

    /// The header comes to the node.
    pub fn header_arrives(&mut self, place: Place) {
        self.arrivals += 1;
        self.blocks[place].arrival.get_or_insert(self.arrivals);
    }

    /// The body comes to the node and is kept: the best chain is now the one with the most work,
    /// the present one if it has as much, and of others the first seen.
    pub fn body_arrives(&mut self, place: Place) {
        self.blocks[place].body = true;
        let (mut open, mut candidates) = (vec![place], vec![self.best]);
        while let Some(place) = open.pop() {
            let made = &self.blocks[place];
            let connects = made.body && made.valid && self.blocks[made.parent].connected;
            if !connects || made.connected {
                continue;
            }
            self.blocks[place].connected = true;
            candidates.push(place);
            open.extend(self.blocks[place].children.clone());
        }
        let heaviest = candidates.into_iter().max_by_key(|place| {
            let made = &self.blocks[*place];
            let seen = if *place == self.best { 0 } else { made.arrival.unwrap_or(u64::MAX) };
            (made.height, std::cmp::Reverse(seen))
        });
        self.best = heaviest.expect("the present one is a candidate");
    }

    /// The block `depth` below `place`, or genesis.
    pub fn ancestor(&self, mut place: Place, depth: u32) -> Place {
        for _ in 0..depth {
            place = self.blocks[place].parent;
        }
        place
    }

    /// The blocks from genesis (exclusive) up to `to`.
    pub fn path(&self, to: Place) -> Vec<Place> {
        let (mut path, mut at) = (Vec::new(), to);
        while at != 0 {
            path.push(at);
            at = self.blocks[at].parent;
        }
        path.reverse();
        path
    }

    /// The state after a block, replayed from genesis.
    pub fn replayed(&self, place: Place) -> State {
        let mut state = self.blocks[0].state.clone();
        for at in self.path(place) {
            let made = &self.blocks[at];
            let block = made.block.as_ref().expect("only genesis has none");
            state = execute(&state, made.height, block).expect("the best chain is valid");
        }
        state
    }
}
