//! What goes wrong, and how it ends.

use crate::clock::{MINUTE, SECOND, Wrong};
use crate::disk::{End, FaultRates};
use crate::world::{What, World};

/// Times that a loose wire breaks and holds again, twice over; the last time it holds.
const FLAPS: u32 = 41;

/// How many operations of the disk a power cut waits for at most.
const CUT_WITHIN: u64 = 12;

impl World {
    /// Something goes wrong somewhere.
    pub fn trouble(&mut self) {
        let wait = self.plan.trouble_every / 2 + self.random.below(self.plan.trouble_every);
        if self.now() + wait < self.plan.trouble {
            self.after(wait, What::Trouble);
        }
        let index = usize::try_from(self.random.below(self.nodes.len() as u64)).expect("few");
        if self.random.percent(self.plan.crashes) {
            self.crash(index);
        }
        if self.random.percent(self.plan.cuts) {
            self.cut_wires();
        }
        if self.random.percent(self.plan.clock_jumps) {
            self.set_clock_wrong();
        }
        if self.random.percent(self.plan.quarrels) {
            self.quarrel(index);
        }
        if self.random.percent(self.plan.full_disks) {
            self.nodes[index].disk.fill_up(true);
            self.note(10, || format!("the disk of node {index} is full"));
            let wait = SECOND + self.random.below(5 * MINUTE);
            self.after(wait, What::Room(index));
        }
    }

    /// Everyone has friends that all others can be reached through, and some more.
    pub fn introduce(&mut self) {
        let count = self.nodes.len();
        // Those that can be called come first.
        for hidden in count - self.plan.hidden.min(count - 1)..count {
            self.nodes[hidden].is_hidden = true;
        }
        let open = count - self.plan.hidden.min(count - 1);
        for index in 0..count {
            let mut friends = Vec::new();
            if index > 0 {
                friends.push(self.pick(index.min(open)));
            }
            while self.random.percent(40) {
                friends.push(self.pick(open));
            }
            friends.retain(|friend| *friend != index);
            let addresses = friends.iter().map(|friend| self.nodes[*friend].address.clone());
            self.nodes[index].friends = addresses.collect();
        }
    }

    /// One of so many.
    pub fn pick(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64)).expect("few")
    }

    /// Some cannot hear others for a while: a few, one way or both ways, or the world in two.
    fn cut_wires(&mut self) {
        let places = self.nodes.len() + self.liars.len();
        match self.random.below(4) {
            0 => {
                self.tally.splits += 1;
                let side: Vec<bool> = (0..places).map(|_| self.random.percent(50)).collect();
                for (one, other) in pairs(places) {
                    if side[one] != side[other] {
                        self.weather.cut(one, other);
                    }
                }
                self.note(13, || format!("the network is split: {side:?}"));
            }
            1 => {
                self.tally.one_way_cuts += 1;
                let (one, other) = (self.pick(places), self.pick(places));
                self.weather.cut(one, other);
                self.note(14, || format!("{one} cannot send to {other}"));
            }
            2 => {
                self.tally.flapping += 1;
                let (one, other) = (self.pick(places), self.pick(places));
                self.note(17, || format!("the wire between {one} and {other} is loose"));
                self.flap(one, other, FLAPS);
            }
            _ => {
                self.tally.lone += 1;
                let alone = self.pick(places);
                for (one, other) in pairs(places) {
                    if one == alone || other == alone {
                        self.weather.cut(one, other);
                    }
                }
                self.note(15, || format!("{alone} is alone"));
            }
        }
        let longest = *self.random.pick(&[2 * SECOND, 30 * SECOND, 5 * MINUTE, 20 * MINUTE]);
        let wait = SECOND + self.random.below(longest);
        self.after(wait, What::Heal);
    }

    /// Wrong for minutes.
    fn set_clock_wrong(&mut self) {
        let wrong = *self.random.pick(&Wrong::ALL);
        let wait = SECOND + self.random.below(5 * MINUTE);
        self.let_clock_be(wrong, wait);
    }

    /// Wrong for so many microseconds, and always the same node's: were the clocks of many ahead and
    /// set back, all would stand on blocks of their own from the future, and mine on only when these
    /// are past.
    pub fn let_clock_be(&mut self, wrong: Wrong, micros: u64) {
        let index = self.nodes.len() - 1;
        self.nodes[index].clock.set_wrong(wrong);
        self.tally.clock_jumps += 1;
        match wrong {
            Wrong::Hours(_) => {}
            Wrong::Year1970 => self.tally.years_1970 += 1,
            Wrong::Year2038 => self.tally.years_2038 += 1,
            Wrong::Frozen => self.tally.frozen_clocks += 1,
        }
        self.note(16, || format!("the clock of node {index} is set wrong: {wrong:?}"));
        self.after(micros, What::RightTime(index));
    }

    /// A loose wire: it breaks now and soon holds again, so many times.
    pub fn flap(&mut self, one: usize, other: usize, times: u32) {
        if self.is_over {
            return;
        }
        for (from, to) in [(one, other), (other, one)] {
            if times.is_multiple_of(2) {
                self.weather.join(from, to)
            } else {
                self.weather.cut(from, to)
            }
        }
        if times > 0 {
            let wait = SECOND + self.random.below(3 * SECOND);
            self.after(wait, What::Flap(one, other, times - 1));
        }
    }

    fn crash(&mut self, index: usize) {
        if !self.nodes[index].is_up() {
            return;
        }
        match self.random.below(3) {
            0 => {
                self.tally.kills += 1;
                self.end(index, End::Killed);
            }
            1 => {
                self.tally.power_cuts += 1;
                self.end(index, End::PowerCut);
            }
            _ => {
                self.nodes[index].disk.cut_within(CUT_WITHIN);
                self.note(11, || format!("the power of node {index} is about to go"));
            }
        }
    }

    /// Disks fail as planned, or not at all.
    pub fn disks_fail(&mut self, they_do: bool) {
        for node in &self.nodes {
            node.disk.fail_at(if they_do { self.plan.disk } else { FaultRates::default() });
        }
    }

    /// Everything that was wrong is right again, and every node runs.
    pub fn calm(&mut self) {
        self.note(12, || "calm".to_owned());
        self.is_over = true;
        self.disks_fail(false);
        self.weather.clear_up();
        for index in 0..self.nodes.len() {
            self.nodes[index].disk.fill_up(false);
            if self.nodes[index].is_doomed() {
                self.end(index, End::PowerCut);
            }
        }
    }
}

/// All ordered pairs of different places.
fn pairs(places: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..places)
        .flat_map(move |one| (0..places).map(move |other| (one, other)))
        .filter(|(one, other)| one != other)
}
