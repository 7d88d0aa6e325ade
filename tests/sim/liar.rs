//! Peers that lie: each looks like a copy of an honest node, and does some things of its own.

use crate::clock::{MINUTE, SECOND};
use crate::links::End;
use crate::rules::{self, PREFIX, SPACING, params};
use crate::spoil::{random_hash, random_ids, spoil_body, spoil_compact, spoil_proof};
use crate::wires::Form;
use crate::world::{What, World};
use farthing::chain::Bodies;
use farthing::http::Method;
use farthing::net::client::{CallError, Reply};
use farthing::primitives::{Block, CompactBlock, Height, PeerAddress, Signature, UnixTime, Work};
use farthing::testkit::{Random, TestChain, solve};
use farthing::wire::{
    AnnouncedBlock, Announcement, Handshake, PEER_VERSION, PoolSummary, Reach,
    block_announcement_to_json, block_to_json, blocks_from_json, compact_from_json,
    compact_to_json, hashes_from_query, headers_from_json, headers_to_json, pool_ids_to_json,
    transfer_to_json, transfers_from_json,
};

/// Ids of transfers that do not exist in one message.
const IDS: u64 = 30;

/// Live connections of a liar beyond which it opens none.
const LINKS: usize = 6;

/// Percent of the occasions to flood somebody that are taken: a flood is a lot.
const FLOODS: u64 = 50;

/// What a liar may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Claims work that there is not.
    Work,
    /// Answers with what is no JSON.
    Garbage,
    /// Gives headers without proof of work.
    NoProof,
    /// Gives headers with bits that are wrong.
    WrongBits,
    /// Gives a branch of its own, longer than that of all others, with as little work as there can be.
    Cheap,
    /// Gives no bodies.
    Withheld,
    /// Gives bodies that are not those of their headers.
    WrongBodies,
    /// Never answers.
    Stall,
    /// Answers as late as it can.
    Slow,
    /// Gives transfers that nobody signed.
    Unsigned,
    /// Sends blocks without proof of work, or without a parent.
    BadBlocks,
    /// Announces transfers that do not exist.
    Ids,
    /// Announces more of them at once than anyone has room for, and never answers when asked for them.
    Flood,
    /// Announces blocks that do not exist, or not as it says.
    Announced,
}

pub const LIES: [Lie; 14] = [
    Lie::Work,
    Lie::Garbage,
    Lie::NoProof,
    Lie::WrongBits,
    Lie::Cheap,
    Lie::Withheld,
    Lie::WrongBodies,
    Lie::Stall,
    Lie::Slow,
    Lie::Unsigned,
    Lie::BadBlocks,
    Lie::Ids,
    Lie::Flood,
    Lie::Announced,
];

/// A peer that lies.
pub struct Liar {
    pub address: PeerAddress,
    lies: Vec<Lie>,
    instance: u64,
    /// Its live connections.
    pub links: Vec<End>,
    random: Random,
    /// Its cheap branch, made when it is first asked for.
    branch: Option<TestChain>,
}

impl Liar {
    pub fn new(number: usize, random: &mut Random) -> Self {
        let address = format!("77.{number}.0.1:5000").parse().expect("an address");
        let mut own = Random(random.bits());
        let lies = (0..=own.below(3)).map(|_| *own.pick(&LIES)).collect();
        Self { address, lies, instance: own.bits(), links: Vec::new(), random: own, branch: None }
    }

    /// Whether it does this now: liars are honest half of the time.
    pub fn does(&mut self, lie: Lie) -> bool {
        self.lies.contains(&lie) && self.random.percent(50)
    }

    /// Its own branch, up to a block stamped about `now`.
    fn branch(&mut self, now: UnixTime) -> &mut TestChain {
        let salt = self.instance;
        let own = self.branch.get_or_insert_with(|| TestChain::new(params()).fork(salt));
        own.now.unix = now;
        while own.chain.tip().header.time.plus(SPACING) <= now {
            let mut draft = own.draft(Vec::new());
            draft.header.time = own.chain.tip().header.time.plus(SPACING);
            let block = own.check(own.sealed(draft)).expect("a valid block");
            own.accept(&block).expect("a valid block");
        }
        own
    }

    /// The blocks of its own branch that a question for blocks names.
    fn branch_blocks(&mut self, query: &str) -> Option<String> {
        let hashes = hashes_from_query("hashes", query).ok()?;
        let own = self.branch.as_ref()?;
        let bodies: Vec<_> = hashes.iter().filter_map(|hash| own.chain.body_of(hash)).collect();
        let blocks = bodies.into_iter().filter_map(|body| own.bodies.read(body).ok());
        let texts: Vec<_> = blocks.map(|block| block_to_json(&block, PREFIX)).collect();
        (!texts.is_empty()).then(|| format!("[{}]", texts.join(",")))
    }
}

fn ok(body: String) -> Reply {
    Reply { status: 200, body }
}

impl World {
    /// The honest node that a liar copies now, if one is up.
    pub fn mirror(&mut self, liar: usize) -> Option<usize> {
        let up: Vec<_> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_up()).collect();
        if up.is_empty() { None } else { Some(*self.liars[liar].random.pick(&up)) }
    }

    /// A liar is asked.
    pub fn ask_liar(&mut self, id: Option<u64>, (from, to): (usize, usize), form: &Form) {
        let number = to - self.nodes.len();
        let (Some(id), Some(mirror)) = (id, self.mirror(number)) else { return };
        if self.stalls(number, form) {
            return;
        }
        let answer = self.liars_answer(number, mirror, form);
        if self.liars[number].does(Lie::Slow) {
            self.lied(Lie::Slow, number);
            let wait = self.random.below(6 * SECOND);
            return self.after(wait, What::Answer(id, answer));
        }
        self.reply(id, (from, to), answer);
    }

    /// Whether a liar leaves a question without an answer; one that floods never gives what it announced.
    pub fn stalls(&mut self, number: usize, form: &Form) -> bool {
        let liar = &mut self.liars[number];
        let floods = form.target == "/fetch-transactions" && liar.lies.contains(&Lie::Flood);
        let stalls = liar.does(Lie::Stall);
        if stalls {
            self.lied(Lie::Stall, number);
        }
        stalls || floods
    }

    /// Notes a lie.
    pub fn lied(&mut self, lie: Lie, number: usize) {
        self.tally.lies[lie as usize] += 1;
        self.note(40 + lie as u64, || format!("liar {number}: {lie:?}"));
    }

    /// What a liar answers to a question, however it came.
    pub fn liars_answer(
        &mut self,
        number: usize,
        mirror: usize,
        form: &Form,
    ) -> Result<Reply, CallError> {
        if self.liars[number].does(Lie::Garbage) {
            self.lied(Lie::Garbage, number);
            return Ok(ok("{\"never".repeat(3)));
        }
        if form.target == "/handshake" {
            return Ok(ok(self.liars_handshake(number, mirror).to_json()));
        }
        let path = form.target.split('?').next().unwrap_or_default();
        if form.method == Method::Post && path != "/fetch-transactions" {
            return Ok(Reply { status: 201, body: "{}".to_owned() });
        }
        let query = form.target.split_once("/blocks?hashes=").map_or("", |(_, query)| query);
        if let Some(own) = self.liars[number].branch_blocks(query) {
            return Ok(ok(own));
        }
        let honest = self.serve(mirror, self.nodes.len() + number, form)?;
        if honest.status != 200 {
            return Ok(honest);
        }
        let body = match path {
            "/headers" => self.liars_headers(number, &honest.body),
            "/blocks" => self.liars_blocks(number, &honest.body),
            "/transactions" | "/fetch-transactions" => self.liars_pool(number, &honest.body),
            "/transactions/summary" => self.liars_summary(number),
            "/transactions/ids" => self.liars_ids(number),
            _ if path.ends_with("/compact") => self.liars_compact(number, &honest.body),
            _ => None,
        };
        Ok(body.map_or(honest, ok))
    }

    /// What a liar says of itself.
    pub fn liars_handshake(&mut self, number: usize, mirror: usize) -> Handshake {
        let lies = self.liars[number].does(Lie::Work);
        if lies {
            self.lied(Lie::Work, number);
        }
        let run = self.nodes[mirror].run.as_ref().expect("it is up");
        let (view, time) = (run.handle.view(), run.handle.now().unix);
        let true_time = rules::time_at(self.time.now());
        let liar = &mut self.liars[number];
        let is_cheap = liar.does(Lie::Cheap);
        let own = is_cheap.then(|| liar.branch(true_time).chain.tip().clone());
        let tip = own.as_ref().unwrap_or(view.chain.tip());
        let mut claimed = Handshake {
            chain_id: view.chain.chain_id(),
            chain: params().name,
            version: PEER_VERSION,
            height: tip.height,
            tip: tip.hash,
            work: tip.total_work,
            instance: liar.instance,
            node: Some(Reach::Node(liar.address.clone())),
            linked: false,
            time,
        };
        if is_cheap {
            // Or nobody would look at it.
            claimed.work = view.chain.tip().total_work + tip.work;
        }
        if lies {
            let more = Work::new(farthing::primitives::U256::from(liar.random.below(1_000_000)));
            claimed.work = claimed.work + more;
            claimed.tip = random_hash(&mut liar.random);
        }
        claimed
    }

    fn liars_headers(&mut self, number: usize, honest: &str) -> Option<String> {
        if self.liars[number].does(Lie::Cheap) {
            self.lied(Lie::Cheap, number);
            let now = rules::time_at(self.now());
            let chain = &self.liars[number].branch(now).chain;
            let nodes = (1..=chain.height().0).filter_map(|at| chain.headers().at(Height(at)));
            let headers: Vec<_> = nodes.map(|node| node.header).collect();
            return Some(headers_to_json(&headers));
        }
        let mut headers = headers_from_json(honest).ok()?;
        let last = headers.last_mut()?;
        if self.liars[number].does(Lie::NoProof) {
            self.lied(Lie::NoProof, number);
            spoil_proof(last);
        } else if self.liars[number].does(Lie::WrongBits) && last.bits != params().easiest_bits() {
            self.lied(Lie::WrongBits, number);
            last.bits = params().easiest_bits();
            solve(last, params().retarget.easiest);
        } else {
            return None;
        }
        Some(headers_to_json(&headers))
    }

    fn liars_blocks(&mut self, number: usize, honest: &str) -> Option<String> {
        if self.liars[number].does(Lie::Withheld) {
            self.lied(Lie::Withheld, number);
            return Some("[]".to_owned());
        }
        if !self.liars[number].does(Lie::WrongBodies) {
            return None;
        }
        let mut blocks = blocks_from_json(honest, PREFIX).ok()?;
        let place = self.liars[number].random.below(blocks.len().max(1) as u64);
        let block = blocks.get_mut(usize::try_from(place).expect("small"))?;
        self.lied(Lie::WrongBodies, number);
        spoil_body(block, &mut self.liars[number].random);
        let texts: Vec<_> = blocks.iter().map(|block| block_to_json(block, PREFIX)).collect();
        Some(format!("[{}]", texts.join(",")))
    }

    fn liars_compact(&mut self, number: usize, honest: &str) -> Option<String> {
        if !self.liars[number].does(Lie::WrongBodies) {
            return None;
        }
        let mut block = compact_from_json(honest, PREFIX).ok()?;
        self.lied(Lie::WrongBodies, number);
        spoil_compact(&mut block, &mut self.liars[number].random);
        Some(compact_to_json(&block, PREFIX))
    }

    fn liars_summary(&mut self, number: usize) -> Option<String> {
        let is_lie = self.liars[number].does(Lie::Ids);
        is_lie.then(|| {
            let random = &mut self.liars[number].random;
            PoolSummary::new(std::array::from_fn(|_| random.bits())).to_json()
        })
    }

    fn liars_ids(&mut self, number: usize) -> Option<String> {
        let is_lie = self.liars[number].does(Lie::Ids);
        is_lie.then(|| {
            self.lied(Lie::Ids, number);
            pool_ids_to_json(&random_ids(&mut self.liars[number].random, IDS))
        })
    }

    fn liars_pool(&mut self, number: usize, honest: &str) -> Option<String> {
        if self.liars[number].does(Lie::Withheld) {
            self.lied(Lie::Withheld, number);
            return Some("[]".to_owned());
        }
        if !self.liars[number].does(Lie::Unsigned) {
            return None;
        }
        let mut transfers = transfers_from_json(honest, PREFIX).ok()?;
        let last = transfers.last_mut()?;
        last.signature = Signature::from_bytes([7; 64]);
        self.lied(Lie::Unsigned, number);
        let texts: Vec<_> = transfers.iter().map(|one| transfer_to_json(one, PREFIX)).collect();
        Some(format!("[{}]", texts.join(",")))
    }

    /// A liar does something without being asked.
    pub fn lie(&mut self, number: usize) {
        let wait = 5 * SECOND + self.random.below(MINUTE);
        self.after(wait, What::Lie(number));
        let Some(mirror) = self.mirror(number) else { return };
        let to = usize::try_from(self.random.below(self.nodes.len() as u64)).expect("few");
        let hello = self.liars_handshake(number, mirror).to_json();
        self.liar_sends(number, to, ("/handshake", hello));
        if self.liars[number].links.len() < LINKS {
            self.liar_dials(number, to);
        }
        if self.liars[number].does(Lie::Garbage) {
            self.liar_babbles(number);
        }
        if self.liars[number].does(Lie::Flood) && self.random.percent(FLOODS) {
            self.liar_floods(number);
        }
        if let Some(news) = self.liars_news(number, mirror) {
            self.liar_tells(number, &news);
            self.liar_sends(number, to, ("/announce", news.to_json(PREFIX)));
        }
        if self.liars[number].does(Lie::BadBlocks)
            && let Some(block) = self.bad_block(number, mirror)
        {
            self.lied(Lie::BadBlocks, number);
            let text = block_to_json(&block, PREFIX);
            let from = Reach::Node(self.liars[number].address.clone());
            let text = block_announcement_to_json(&text, Some(&from));
            self.liar_sends(number, to, ("/broadcast-block", text));
        }
    }

    /// News that are none.
    fn liars_news(&mut self, number: usize, mirror: usize) -> Option<Announcement> {
        let from = Some(Reach::Node(self.liars[number].address.clone()));
        if self.liars[number].does(Lie::Ids) {
            self.lied(Lie::Ids, number);
            let transactions = random_ids(&mut self.liars[number].random, IDS);
            return Some(Announcement { from, blocks: Vec::new(), transactions });
        }
        if !self.liars[number].does(Lie::Announced) {
            return None;
        }
        let block = self.bad_block(number, mirror)?;
        self.lied(Lie::Announced, number);
        let random = &mut self.liars[number].random;
        let work = Work::new(farthing::primitives::U256::from(random.below(1_000_000)));
        let block = if random.percent(50) {
            AnnouncedBlock::new(CompactBlock::of(&block, random.bits()), work, PREFIX)
        } else {
            AnnouncedBlock::Header { header: block.header, height: block.coinbase.height, work }
        };
        Some(Announcement { from, blocks: vec![block], transactions: Vec::new() })
    }

    fn liar_sends(&mut self, number: usize, to: usize, (target, body): (&str, String)) {
        let from = self.nodes.len() + number;
        if self.weather.is_cut(from, to) || self.weather.is_cut(to, from) {
            return;
        }
        let form = Form { method: Method::Post, target: target.to_owned(), body };
        let way = self.weather.way(&mut self.random);
        self.after(way, What::Question { id: None, from, to, form });
    }

    /// The tip of an honest node, spoiled in one way or another.
    fn bad_block(&mut self, number: usize, mirror: usize) -> Option<Block> {
        let run = self.nodes[mirror].run.as_ref()?;
        let view = run.handle.view();
        let body = view.chain.body_of(&view.chain.tip().hash)?;
        let mut block = run.handle.read_block(body).ok()?;
        let random = &mut self.liars[number].random;
        match random.below(4) {
            0 => spoil_proof(&mut block.header),
            1 => {
                block.header.previous = random_hash(random);
                solve(&mut block.header, params().retarget.easiest);
            }
            2 => spoil_body(&mut block, random),
            _ => block.header.nonce ^= 1,
        }
        Some(block)
    }
}
