//! What becomes of messages on their way: delay, loss, resets, and who cannot hear whom.

use crate::clock::SECOND;
use farthing::testkit::Random;
use std::collections::BTreeSet;

/// A lost packet is sent again after this, then after twice as long, and so on.
const RESEND: u64 = SECOND / 5;

/// The state of the wires between all places. A place is the number of a node or of a liar.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Microseconds one way that all messages take at least.
    pub latency: u64,
    /// Microseconds on top of that at most, drawn for each message.
    pub jitter: u64,
    /// Percent of packets that are lost and sent again.
    pub loss: u64,
    /// Percent of calls whose connection breaks after the question has arrived.
    pub resets: u64,
    /// Percent of questions that arrive twice.
    pub doubles: u64,
    /// Who cannot send to whom.
    cuts: BTreeSet<(usize, usize)>,
}

impl Weather {
    /// Wires that are this long.
    pub fn far(latency: u64, jitter: u64) -> Self {
        Self { latency, jitter, ..Self::default() }
    }

    /// Microseconds that one message takes.
    pub fn way(&self, random: &mut Random) -> u64 {
        let mut took = self.latency + random.below(self.jitter + 1);
        let mut again = RESEND;
        while self.loss > 0 && random.percent(self.loss) && again < 64 * RESEND {
            took += again;
            again *= 2;
        }
        took
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Lets nothing more through from one place to another.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    /// Lets everything through again from one place to another.
    pub fn join(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    /// Joins what was cut.
    pub fn join_all(&mut self) {
        self.cuts.clear();
    }

    /// No trouble but the distance.
    pub fn clear_up(&mut self) {
        self.join_all();
        (self.loss, self.resets, self.doubles) = (0, 0, 0);
    }
}
