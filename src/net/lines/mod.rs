//! The live connections as the network sees them: whose each is, how far it is, what was asked on it
//! and which texts of it are still to be read. No clock, no network, no threads.
//!
//! Invariants: at most [`INBOUND_MAX`] lines were opened by others and [`OUTBOUND_TARGET`] by us; of
//! one line one text is read at a time, in their order; lines are served in turn, each within its
//! [`work`], and what takes long never keeps all readers busy; whoever waits for an answer gets one, or
//! is told that the line is gone.
//!
//! [`INBOUND_MAX`]: super::eviction::INBOUND_MAX
//! [`OUTBOUND_TARGET`]: super::outbound::OUTBOUND_TARGET

mod asked;
pub mod work;

use self::asked::Asked;
pub use self::asked::Terms;
use super::eviction::Inbound;
use crate::primitives::allowance::Allowance;
use crate::primitives::{LinkId, PeerAddress, PeerId};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// How long a line may take to open and to shake hands.
pub const GREETING_MAX: Duration = Duration::from_secs(10);

/// Texts that are read at once at most, each of another line: reading one may wait for the owner.
pub const READERS: usize = 2;

/// Whose a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The other side's, who comes from this address.
    In(IpAddr),
    /// Ours, to this peer.
    Out(PeerAddress),
}

/// How far a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is not open yet.
    Opening,
    /// It is open; hands were not shaken.
    Open,
    /// Both have shaken hands.
    Greeted,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whose it is.
    pub way: Way,
    /// How far it is.
    pub stage: Stage,
    /// Since when there is something like it.
    pub since: Duration,
    /// Who is at the other end, as it says.
    pub instance: Option<u64>,
    /// See [`Inbound`].
    pub latency: Option<Duration>,
    /// See [`Inbound`].
    pub block: Option<Duration>,
    /// See [`Inbound`].
    pub transfer: Option<Duration>,
    /// The work that may still be done for it.
    allowance: Allowance,
    /// Whether its next text is a question whose answer takes long.
    has_heavy: bool,
}

/// All lines. `W` is who waits for an answer.
#[derive(Debug)]
pub struct Lines<W> {
    lines: BTreeMap<LinkId, Line>,
    /// The last number that was given.
    last: u64,
    texts: VecDeque<(LinkId, String)>,
    /// Lines of which a text is being read, and since when.
    reading: BTreeMap<LinkId, Duration>,
    /// The one of them whose answer takes long.
    heavy: Option<LinkId>,
    asked: Asked<W>,
    /// Those whose line has gone.
    stranded: VecDeque<W>,
}

impl<W> Default for Lines<W> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            last: 0,
            texts: VecDeque::new(),
            reading: BTreeMap::new(),
            heavy: None,
            asked: Asked::default(),
            stranded: VecDeque::new(),
        }
    }
}

impl<W> Lines<W> {
    /// A line that is about to open.
    pub fn add(&mut self, way: Way, now: Duration) -> LinkId {
        self.last += 1;
        let rate = match way {
            Way::In(_) => work::OF_OTHERS,
            Way::Out(_) => work::OF_OURS,
        };
        let line = Line {
            way,
            stage: Stage::Opening,
            since: now,
            instance: None,
            latency: None,
            block: None,
            transfer: None,
            // Whoever opens lines again and again has no more than one second's worth.
            allowance: Allowance::new(rate, rate.per_second, now),
            has_heavy: false,
        };
        self.lines.insert(LinkId(self.last), line);
        LinkId(self.last)
    }

    /// The line with this number.
    pub fn get(&self, id: LinkId) -> Option<&Line> {
        self.lines.get(&id)
    }

    /// See [`Self::get`].
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut Line> {
        self.lines.get_mut(&id)
    }

    /// All lines.
    pub fn all(&self) -> impl Iterator<Item = (LinkId, &Line)> {
        self.lines.iter().map(|(id, line)| (*id, line))
    }

    /// Who is at the other end, for the table.
    pub fn peer(&self, id: LinkId) -> Option<PeerId> {
        self.lines.get(&id).map(|line| match &line.way {
            Way::In(_) => PeerId::Link(id),
            Way::Out(address) => PeerId::At(address.clone()),
        })
    }

    /// The line of ours to an address, however far it is.
    pub fn to(&self, address: &PeerAddress) -> Option<(LinkId, &Line)> {
        self.all().find(|(_, line)| matches!(&line.way, Way::Out(to) if to == address))
    }

    /// The line on which a peer can be spoken with.
    pub fn of(&self, peer: &PeerId) -> Option<LinkId> {
        let (id, line) = match peer {
            PeerId::Link(id) => (*id, self.lines.get(id)?),
            PeerId::At(address) => self.to(address)?,
        };
        (line.stage == Stage::Greeted).then_some(id)
    }

    /// Whether whoever names this instance has opened a line to us.
    pub fn comes_from(&self, instance: u64) -> bool {
        self.lines.values().any(|line| {
            matches!(line.way, Way::In(_))
                && line.stage == Stage::Greeted
                && line.instance == Some(instance)
        })
    }

    /// Whether we have opened a line to whoever names this instance.
    pub fn goes_to(&self, instance: u64) -> bool {
        self.lines.values().any(|line| {
            matches!(line.way, Way::Out(_))
                && line.stage > Stage::Opening
                && line.instance == Some(instance)
        })
    }

    /// The lines of others, for the choice among them.
    pub fn inbound(&self) -> Vec<Inbound> {
        let inbound = self.all().filter_map(|(id, line)| match line.way {
            Way::In(ip) => {
                let Line { since, latency, block, transfer, .. } = *line;
                Some(Inbound { id, ip, since, latency, block, transfer })
            }
            Way::Out(_) => None,
        });
        inbound.collect()
    }

    /// A line is gone: what came of it is not read, and who waits for it is stranded.
    pub fn remove(&mut self, id: LinkId) -> Option<Line> {
        let line = self.lines.remove(&id)?;
        self.stranded.extend(self.asked.closed(id));
        Some(line)
    }

    /// One of those whose line has gone.
    pub fn next_stranded(&mut self) -> Option<W> {
        self.stranded.pop_front()
    }

    /// Keeps who waits for the answer to a question on this line; the number that the question gets,
    /// or `None` if too many wait already.
    pub fn ask(&mut self, id: LinkId, terms: Terms, waits: W) -> Option<u32> {
        self.lines.contains_key(&id).then(|| self.asked.ask(id, terms, waits)).flatten()
    }

    /// Bytes of the longest answer that is waited for on this line; 0 if none is.
    pub fn longest_answer(&self, id: LinkId) -> usize {
        self.asked.longest(id)
    }

    /// Who has waited for this answer; how long it took is noted.
    pub fn answered(&mut self, id: LinkId, number: u32, now: Duration) -> Option<W> {
        let (waits, since) = self.asked.answered(id, number)?;
        let took = now.saturating_sub(since);
        if let Some(line) = self.lines.get_mut(&id) {
            line.latency = Some(line.latency.map_or(took, |known| known.min(took)));
        }
        Some(waits)
    }

    /// Lines that have to end: they owe an answer or their greeting for too long.
    pub fn overdue(&self, now: Duration) -> Vec<LinkId> {
        let is_read = |id: &LinkId| {
            self.reading.contains_key(id) || self.texts.iter().any(|(of, _)| of == id)
        };
        let slow = self.asked.overdue(now).into_iter().filter(|id| !is_read(id));
        let slow = slow.chain(self.asked.inexcusable(now));
        let mute = self.all().filter(|(_, line)| line.greeting_due().is_some_and(|due| due <= now));
        let mut all: Vec<_> = slow.chain(mute.map(|(id, _)| id)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Texts that have come on a line and were not read.
    #[cfg(test)]
    pub fn unread(&self, id: LinkId) -> usize {
        self.texts.iter().filter(|(of, _)| *of == id).count()
    }

    /// A text has come.
    pub fn push_text(&mut self, id: LinkId, text: String) {
        self.texts.push_back((id, text));
    }

    /// The next text to read, lines in turn, of those that take what is sent to them, as `unsent` has its
    /// bytes; no further text of its line until [`Self::read`].
    pub fn next_text(
        &mut self,
        now: Duration,
        unsent: impl Fn(LinkId) -> usize,
    ) -> Option<(LinkId, String)> {
        if self.reading.len() >= READERS {
            return None;
        }
        let may_be_read = |(id, _): &(LinkId, String)| {
            self.lines.get(id).is_none_or(|line| {
                let has_turn = !line.has_heavy || self.heavy.is_none();
                has_turn
                    && !self.reading.contains_key(id)
                    && line.allowance.is_open(now)
                    && unsent(*id) <= line.unsent_max()
            })
        };
        let place = self.texts.iter().position(may_be_read)?;
        let (id, text) = self.texts.remove(place)?;
        if let Some(line) = self.lines.get_mut(&id) {
            line.allowance.charge(work::TEXT, now);
            if std::mem::take(&mut line.has_heavy) {
                self.heavy = Some(id);
            }
        }
        self.reading.insert(id, now);
        Some((id, text))
    }

    /// Counts the work that a text has made.
    pub fn charge(&mut self, id: LinkId, cost: usize, now: Duration) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.allowance.charge(cost, now);
        }
    }

    /// Whether the text that is read may be answered though that takes long: one at a time is.
    /// Otherwise it is to be put back with [`Self::put_back`].
    pub fn begin_heavy(&mut self, id: LinkId) -> bool {
        *self.heavy.get_or_insert(id) == id
    }

    /// The text that is read is the next of its line again, behind those of others, for when nothing
    /// else takes long.
    pub fn put_back(&mut self, (id, text): (LinkId, String), now: Duration) {
        self.read(id, now);
        if let Some(line) = self.lines.get_mut(&id) {
            line.has_heavy = true;
        }
        self.texts.push_back((id, text));
    }

    /// A text was read. Meanwhile no answer of that line could be, which is not its fault.
    pub fn read(&mut self, id: LinkId, now: Duration) {
        self.heavy = self.heavy.filter(|heavy| *heavy != id);
        if let Some(since) = self.reading.remove(&id) {
            self.asked.extend(id, now.saturating_sub(since));
        }
    }

    /// How long there is nothing to do unless something happens.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        let greetings = self.lines.values().filter_map(Line::greeting_due);
        let slowed = (!self.texts.is_empty()).then_some(now);
        let due = greetings.chain(slowed).chain(self.asked.due()).min();
        due.map(|due| due.saturating_sub(now).max(DUE_MIN))
    }
}

/// What waits for a text to be read, or a text that may not be read yet, is looked at so often.
const DUE_MIN: Duration = Duration::from_millis(20);

impl Line {
    const fn unsent_max(&self) -> usize {
        match self.way {
            Way::In(_) => work::UNSENT_OF_OTHERS,
            Way::Out(_) => work::UNSENT_OF_OURS,
        }
    }

    fn greeting_due(&self) -> Option<Duration> {
        (self.stage != Stage::Greeted).then_some(self.since + GREETING_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::asked::EXTENDED_MAX;
    use super::*;
    use std::net::Ipv4Addr;

    const NOW: Duration = Duration::from_secs(100);
    const SECOND: Duration = Duration::from_secs(1);

    fn inbound(lines: &mut Lines<u32>) -> LinkId {
        let id = lines.add(Way::In(Ipv4Addr::LOCALHOST.into()), NOW);
        lines.get_mut(id).unwrap().stage = Stage::Greeted;
        id
    }

    /// What is expected of an answer that has to be here a second later.
    fn soon() -> Terms {
        Terms { since: NOW, deadline: NOW + SECOND, bytes: 1 }
    }

    #[test]
    fn a_line_is_read_one_text_at_a_time_and_only_as_fast_as_it_may() {
        let mut lines = Lines::default();
        let (flood, other) = (inbound(&mut lines), inbound(&mut lines));
        for count in 0..work::OF_OTHERS.per_second / work::TEXT {
            lines.push_text(flood, count.to_string());
            assert_eq!(lines.next_text(NOW, |_| 0), Some((flood, count.to_string())));
            lines.read(flood, NOW);
        }
        lines.push_text(flood, "more".to_owned());
        lines.push_text(other, "calm".to_owned());
        assert_eq!(lines.next_text(NOW, |_| 0), Some((other, "calm".to_owned())));
        assert_eq!(lines.next_text(NOW, |_| 0), None);
        assert_eq!(lines.due_in(NOW), Some(DUE_MIN));
        let later = NOW + SECOND;
        let unsent = |of_flood| move |id| if id == flood { of_flood } else { usize::MAX };
        let too_much = work::UNSENT_OF_OTHERS + 1;
        assert_eq!(lines.next_text(later, unsent(too_much)), None, "it takes no answers");
        let found = lines.next_text(later, unsent(work::UNSENT_OF_OTHERS));
        assert_eq!(found, Some((flood, "more".to_owned())));
        // No third while two are read.
        let third = inbound(&mut lines);
        lines.push_text(third, "third".to_owned());
        assert_eq!(lines.next_text(later, |_| 0), None);
        lines.read(other, later);
        assert_eq!(lines.next_text(later, |_| 0), Some((third, "third".to_owned())));
    }

    #[test]
    fn a_line_whose_work_is_used_up_waits_and_loses_nothing() {
        let mut lines = Lines::default();
        let (theirs, ours) =
            (inbound(&mut lines), lines.add(Way::Out("127.0.0.1:5001".parse().unwrap()), NOW));
        let debt = work::OF_OURS.per_second;
        for (id, rate, seconds) in [(theirs, work::OF_OTHERS, 4), (ours, work::OF_OURS, 1)] {
            lines.charge(id, rate.per_second + debt, NOW);
            lines.push_text(id, "next".to_owned());
            let free = NOW + seconds * SECOND;
            assert_eq!(lines.next_text(free, |_| 0), None);
            let found = lines.next_text(free + DUE_MIN, |_| 0);
            assert_eq!(found, Some((id, "next".to_owned())));
        }
    }

    #[test]
    fn what_takes_long_is_done_one_at_a_time_and_never_before_what_does_not() {
        let mut lines = Lines::default();
        let [a, b, c] = [(); 3].map(|()| inbound(&mut lines));
        let text = |id| Some((id, "blocks".to_owned()));
        for id in [a, b] {
            lines.push_text(id, "blocks".to_owned());
            assert_eq!(lines.next_text(NOW, |_| 0), text(id));
        }
        assert!(lines.begin_heavy(a) && !lines.begin_heavy(b));
        lines.put_back(text(b).unwrap(), NOW);
        // One reader is free again, and not for that one.
        for _ in 0..3 {
            lines.push_text(c, "small".to_owned());
            assert_eq!(lines.next_text(NOW, |_| 0), Some((c, "small".to_owned())));
            lines.read(c, NOW);
        }
        assert_eq!(lines.next_text(NOW, |_| 0), None);
        lines.read(a, NOW);
        // Whoever has just been served comes after those who wait.
        lines.push_text(a, "blocks".to_owned());
        assert_eq!(lines.next_text(NOW, |_| 0), text(b));
        assert!(lines.begin_heavy(b));
        assert_eq!(lines.next_text(NOW, |_| 0), text(a), "nobody has looked at it");
        assert!(!lines.begin_heavy(a));
        lines.put_back(text(a).unwrap(), NOW);
        assert_eq!(lines.next_text(NOW, |_| 0), None);
        lines.remove(b);
        lines.read(b, NOW);
        assert_eq!(lines.next_text(NOW, |_| 0), text(a));
    }

    #[test]
    fn who_owes_an_answer_is_overdue_unless_it_waits_to_be_read() {
        let mut lines = Lines::default();
        let id = inbound(&mut lines);
        assert_eq!(lines.ask(id, soon(), 7), Some(0));
        lines.push_text(id, "answer".to_owned());
        let later = NOW + 3 * SECOND;
        assert_eq!(lines.overdue(later), [], "its answer may lie here");
        lines.next_text(later, |_| 0).unwrap();
        lines.read(id, later + SECOND);
        assert_eq!(lines.overdue(later), [id]);
        lines.push_text(id, "anything but an answer".to_owned());
        assert_eq!(lines.overdue(later), []);
        assert_eq!(lines.overdue(NOW + SECOND + EXTENDED_MAX), [id], "who floods is no exception");
        assert_eq!(lines.answered(id, 1, later), None);
        lines.remove(id);
        assert_eq!((lines.next_stranded(), lines.next_stranded()), (Some(7), None));
        assert_eq!(lines.ask(id, soon(), 8), None, "it is gone");
    }

    #[test]
    fn whoever_does_not_shake_hands_is_overdue() {
        let mut lines: Lines<u32> = Lines::default();
        let id = lines.add(Way::Out("127.0.0.1:5001".parse().unwrap()), NOW);
        assert_eq!(lines.overdue(NOW + GREETING_MAX - SECOND), []);
        assert_eq!(lines.overdue(NOW + GREETING_MAX), [id]);
        let peer = PeerId::At("127.0.0.1:5001".parse().unwrap());
        assert_eq!((lines.peer(id), lines.of(&peer)), (Some(peer.clone()), None));
        let line = lines.get_mut(id).unwrap();
        (line.stage, line.instance) = (Stage::Greeted, Some(9));
        assert_eq!(lines.of(&peer), Some(id));
        assert!(lines.goes_to(9) && !lines.comes_from(9) && lines.inbound().is_empty());
        assert_eq!(lines.overdue(NOW + GREETING_MAX), []);
    }
}
