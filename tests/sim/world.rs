//! The world: what happens next, and what that leads to.
//!
//! One queue of happenings in the order of their times, one thread, one source of chance. Equal seeds
//! make equal worlds.

use crate::check::Checks;
use crate::clock::{Clock, MINUTE, SECOND, WorldTime};
use crate::disk::End;
use crate::finale::News;
use crate::hearing;
use crate::liar::Liar;
use crate::links::{Happening, Wires};
use crate::node::{Common, Nature, Node};
use crate::plan::Plan;
use crate::rules::params;
use crate::tally::Tally;
use crate::weather::Weather;
use crate::wires::{Form, Open};
use farthing::net::client::{CallError, Reply};
use farthing::node::{Event, Origin};
use farthing::primitives::PeerAddress;
use farthing::testkit::Random;
use log::Level;
use std::collections::BTreeMap;

/// How often the owner looks at what is due by itself.
const TICK: u64 = 4 * SECOND;

/// Something that happens at a certain time.
pub enum What {
    /// A node hashes once.
    Hash(usize),
    /// A person pays.
    Pay(usize),
    /// A person adds the peer again that it has removed.
    Befriend(usize, PeerAddress),
    /// The owner of a node in this incarnation looks at what is due.
    Tick(usize, u64),
    /// A node that is down starts.
    Start(usize),
    /// Something goes wrong.
    Trouble,
    /// A full disk has room again.
    Room(usize),
    /// Somebody sets a clock right.
    RightTime(usize),
    /// A node in this incarnation has waited until this time.
    Wake(usize, u64, u64),
    /// A question arrives; the call that waits for its answer.
    Question { id: Option<u64>, from: usize, to: usize, form: Form },
    /// An answer arrives.
    Answer(u64, Result<Reply, CallError>),
    /// A call has waited as long as it may.
    Expire(u64),
    /// By now everyone has what somebody was told then.
    Expect(News),
    /// Something happens on a live connection.
    Link(Happening),
    /// A liar has an idea.
    Lie(usize),
    /// A loose wire breaks or holds again.
    Flap(usize, usize, u32),
    /// The wires are whole again.
    Heal,
}

/// All of it.
pub struct World {
    pub plan: Plan,
    pub random: Random,
    pub time: WorldTime,
    pub nodes: Vec<Node>,
    pub liars: Vec<Liar>,
    pub weather: Weather,
    /// Calls that are under way.
    pub open: BTreeMap<u64, Open>,
    pub calls_made: u64,
    /// Live connections.
    pub wires: Wires,
    pub tally: Tally,
    pub checks: Checks,
    /// What is to happen, boxed because the map moves its entries about.
    queue: BTreeMap<(u64, u64), Box<What>>,
    order: u64,
    /// Whether people pay.
    pub is_paying: bool,
    /// Whether miners work.
    pub is_mining: bool,
    /// Whether the trouble is over.
    pub is_over: bool,
    /// Whether nothing has gone wrong for long enough that news must be quick.
    pub is_calm: bool,
    pub trace: Trace,
}

/// The log of events, printed if it is wanted, and a number that stands for all of it.
pub struct Trace {
    pub is_on: bool,
    pub digest: u64,
}

impl Trace {
    fn note(&mut self, now: u64, text: &dyn Fn() -> String, mark: u64) {
        self.digest = (self.digest ^ now ^ mark.rotate_left(17)).wrapping_mul(0x0100_0000_01b3);
        if self.is_on {
            let seconds = now / SECOND;
            let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            eprintln!("{h}:{m:02}:{s:02}.{:03} {}", now % SECOND / 1_000, text());
        }
    }
}

impl World {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = Random(seed);
        let plan = Plan::draw(&mut random);
        Self::of(plan, random, is_traced)
    }

    /// The world of a plan.
    pub fn of(plan: Plan, mut random: Random, is_traced: bool) -> Self {
        hearing::listen(is_traced);
        let time = WorldTime::default();
        let begin = params().genesis_time.plus(crate::rules::AGE);
        let common = Common::new();
        let nodes = (0..plan.nodes)
            .map(|index| {
                let (offset, drift) = plan.clock_of(&mut random);
                let clock = Clock::new(&time, begin, offset, drift);
                let hash_every = plan.hash_every(&mut random);
                let wallet = if plan.is_wallet_shared && index == 1 { 0 } else { index };
                let seed = random.bits();
                Node::new(Nature { index, wallet, clock, hash_every, seed }, &common)
            })
            .collect::<Vec<_>>();
        let liars = (0..plan.liars).map(|number| Liar::new(number, &mut random)).collect();
        let weather = plan.weather.clone();
        let mut world = Self {
            random,
            time,
            nodes,
            liars,
            weather,
            open: BTreeMap::new(),
            calls_made: 0,
            wires: Wires::default(),
            tally: Tally::default(),
            checks: Checks::default(),
            queue: BTreeMap::new(),
            order: 0,
            is_paying: true,
            is_mining: true,
            is_over: false,
            is_calm: false,
            trace: Trace { is_on: is_traced, digest: 0xcbf2_9ce4_8422_2325 },
            plan,
        };
        world.introduce();
        for index in 0..world.nodes.len() {
            world.start(index);
            world.after(SECOND, What::Hash(index));
            world.after(SECOND, What::Pay(index));
        }
        for number in 0..world.liars.len() {
            world.after(MINUTE, What::Lie(number));
        }
        world.after(MINUTE, What::Trouble);
        world.after(MINUTE, What::Link(Happening::Pings));
        world
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.node_seconds = self.nodes.len() as u64 * self.now() / SECOND;
        self.nodes.iter().for_each(|node| tally.add_disk(node.disk.counts()));
        tally
    }

    pub fn now(&self) -> u64 {
        self.time.now()
    }

    /// Lets something happen in so many microseconds.
    pub fn after(&mut self, micros: u64, what: What) {
        self.order += 1;
        self.queue.insert((self.now() + micros, self.order), Box::new(what));
    }

    pub fn note(&mut self, mark: u64, text: impl Fn() -> String) {
        let now = self.time.now();
        self.trace.note(now, &text, mark);
    }

    /// Lets the world go on for so many microseconds.
    pub fn run(&mut self, micros: u64) {
        let end = self.now() + micros;
        while let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= end) {
            let ((at, _), what) = next.remove_entry();
            self.time.set(at);
            self.happen(*what);
        }
        self.time.set(end);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Hash(index) => self.hash(index),
            What::Pay(index) => self.person(index),
            What::Befriend(index, peer) => self.befriend(index, &peer),
            What::Tick(index, incarnation) => self.tick(index, incarnation),
            What::Start(index) => self.start(index),
            What::Trouble => self.trouble(),
            What::Room(index) => self.nodes[index].disk.fill_up(false),
            What::RightTime(index) => self.nodes[index].clock.set_right(),
            What::Wake(index, incarnation, at) => self.wake(index, incarnation, at),
            What::Question { id, from, to, form } => self.question(id, (from, to), &form),
            What::Answer(id, answer) => self.answer(id, answer),
            What::Expire(id) => self.answer(id, Err(CallError::TimedOut)),
            What::Expect(news) => self.expect(&news),
            What::Link(happening) => self.link(happening),
            What::Lie(number) => self.lie(number),
            What::Flap(one, other, times) => self.flap(one, other, times),
            What::Heal => self.weather.join_all(),
        }
    }

    fn hash(&mut self, index: usize) {
        let every = self.nodes[index].hash_every;
        let wait = every / 2 + self.random.below(every);
        self.after(wait, What::Hash(index));
        if self.is_mining {
            self.mine(index);
        }
    }

    /// A node hashes once; true if it has found a block and kept it.
    pub fn mine(&mut self, index: usize) -> bool {
        let Some(block) = self.nodes[index].hash_once() else { return false };
        let hash = block.hash();
        let Some(run) = &self.nodes[index].run else { return false };
        let outcome = run.handle.submit_block(block, Origin::Own);
        let is_kept = self.settle(index) && outcome.is_ok();
        if is_kept {
            self.tally.mined += 1;
            self.checks.block_acknowledged(index, hash);
            self.announce(News::Block(self.work_at(index)));
            self.note(1, || format!("node {index} mined {hash}"));
        }
        is_kept
    }

    fn tick(&mut self, index: usize, incarnation: u64) {
        let node = &mut self.nodes[index];
        if node.incarnation != incarnation {
            return;
        }
        if let Some(run) = &mut node.run {
            run.inline.turn();
            self.settle(index);
            self.after(TICK, What::Tick(index, incarnation));
        }
    }

    fn start(&mut self, index: usize) {
        if self.nodes[index].is_up() {
            return;
        }
        match self.nodes[index].start() {
            Ok(()) => {
                let incarnation = self.nodes[index].incarnation;
                self.note(4, || format!("node {index} is up"));
                self.tally.starts += 1;
                if self.settle(index) {
                    self.checks.restarted(&self.nodes[index]);
                    self.after(TICK, What::Tick(index, incarnation));
                }
            }
            Err(error) => {
                self.note(5, || format!("node {index} does not start: {error}"));
                self.tally.failed_starts += 1;
                self.end(index, End::PowerCut);
            }
        }
    }

    /// Ends the process of a node; it comes back after a while.
    pub fn end(&mut self, index: usize, end: End) {
        self.nodes[index].stop(end);
        if end == End::Killed {
            self.close_all_of(index);
        }
        self.note(6, || format!("node {index} ends: {end:?}"));
        let wait = SECOND + self.random.below(3 * MINUTE);
        self.after(wait, What::Start(index));
    }

    /// What follows when something was done at a node; false if it did not survive that.
    pub fn settle(&mut self, index: usize) -> bool {
        if !self.nodes[index].is_up() {
            return false;
        }
        if self.nodes[index].is_doomed() {
            self.end(index, End::PowerCut);
            return false;
        }
        self.read_log(index);
        self.checks.look_at(&mut self.nodes[index]);
        self.hear(index);
        self.drive(index);
        self.take_commands(index);
        self.read_log(index);
        if self.nodes[index].is_doomed() {
            self.end(index, End::PowerCut);
            return false;
        }
        true
    }

    /// Tells the network of a node what has happened in it.
    fn hear(&mut self, index: usize) {
        let Some(run) = &self.nodes[index].run else { return };
        let (network, events) = (run.network.clone(), run.events.try_iter().collect::<Vec<_>>());
        for event in events {
            network.event(&event);
            if let Event::Tip { change, .. } = &event {
                let tip = change.connected.last().map(|node| (node.height, node.hash));
                let gone = change.disconnected.len();
                self.tally.reorganizations += u64::from(gone > 0);
                self.tally.deepest = self.tally.deepest.max(gone as u64);
                let mark = tip.map_or(0, |(height, _)| u64::from(height.0));
                self.note(mark, || format!("node {index} is at {tip:?}, {gone} blocks replaced"));
            }
        }
    }

    /// Reads what a node has written into its log: whoever is honest is accused by nobody.
    fn read_log(&mut self, index: usize) {
        for (level, line) in hearing::heard() {
            self.note(7, || format!("node {index} logs: {line}"));
            let explained = hearing::is_explained(&line);
            assert!(level > Level::Error || explained, "node {index} logs: {line}");
            let Some(name) = hearing::accused(&line) else { continue };
            let place = name.parse().ok().and_then(|address| self.place_of(&address));
            let place = place.or_else(|| self.behind_link(index, name));
            let place = place.expect("nodes accuse those that exist");
            assert!(place >= self.nodes.len(), "node {index} logs: {line}");
            self.tally.accused += 1;
        }
    }
}
