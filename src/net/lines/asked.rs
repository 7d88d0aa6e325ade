//! Questions that were asked on live connections and wait for their answers.
//!
//! Owns who waits for which number, and until when. No clock, no network, no threads. Invariants: a
//! number is in use once; whoever waits is given back exactly once, with the answer or when the
//! connection is gone; an answer that nobody waits for is nobody's.

use crate::primitives::LinkId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Questions on one link at a time: the peer answers them in turn, and more would only wait there.
pub const ASKED_MAX: usize = 16;

/// How long one may owe an answer beyond its time while other texts of it are read: whoever floods
/// would owe it for ever.
pub const EXTENDED_MAX: Duration = Duration::from_secs(10);

/// What is expected of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When it was asked for.
    pub since: Duration,
    /// When it has to be here.
    pub deadline: Duration,
    /// How many bytes it has at most.
    pub bytes: usize,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting<W> {
    since: Duration,
    deadline: Duration,
    bytes: usize,
    /// Beyond this the deadline is not put off.
    latest: Duration,
    waits: W,
}

/// Who waits for answers.
#[derive(Debug)]
pub struct Asked<W> {
    waiting: BTreeMap<(LinkId, u32), Waiting<W>>,
    next: u32,
}

impl<W> Default for Asked<W> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<W> Asked<W> {
    /// The number for a question to this link; `None` if the link has as many as it may.
    pub fn ask(&mut self, link: LinkId, terms: Terms, waits: W) -> Option<u32> {
        if self.of(link).count() >= ASKED_MAX {
            return None;
        }
        // Numbers come round after four thousand million; one may still wait.
        while self.waiting.contains_key(&(link, self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        let Terms { since, deadline, bytes } = terms;
        let latest = deadline + EXTENDED_MAX;
        self.waiting.insert((link, id), Waiting { since, deadline, bytes, latest, waits });
        Some(id)
    }

    /// Who waited for this answer, and since when.
    pub fn answered(&mut self, link: LinkId, id: u32) -> Option<(W, Duration)> {
        self.waiting.remove(&(link, id)).map(|waiting| (waiting.waits, waiting.since))
    }

    /// Bytes of the longest answer that is waited for on this link; 0 if none is.
    pub fn longest(&self, link: LinkId) -> usize {
        let waiting = self.waiting.range((link, 0)..=(link, u32::MAX));
        waiting.map(|(_, waiting)| waiting.bytes).max().unwrap_or(0)
    }

    /// Who has waited for this link, which is gone.
    pub fn closed(&mut self, link: LinkId) -> Vec<W> {
        let ids: Vec<u32> = self.of(link).collect();
        ids.into_iter().filter_map(|id| Some(self.answered(link, id)?.0)).collect()
    }

    /// Links that owe an answer for too long.
    pub fn overdue(&self, now: Duration) -> Vec<LinkId> {
        self.links(|waiting| waiting.deadline <= now)
    }

    /// Links that owe one for longer than anything excuses.
    pub fn inexcusable(&self, now: Duration) -> Vec<LinkId> {
        self.links(|waiting| waiting.latest <= now)
    }

    fn links(&self, is_over: impl Fn(&Waiting<W>) -> bool) -> Vec<LinkId> {
        let over = self.waiting.iter().filter(|(_, waiting)| is_over(waiting));
        let mut links: Vec<_> = over.map(|((link, _), _)| *link).collect();
        links.dedup();
        links
    }

    /// Lets this link take so much longer: what it has sent was not read meanwhile.
    pub fn extend(&mut self, link: LinkId, by: Duration) {
        for (_, waiting) in self.waiting.range_mut((link, 0)..=(link, u32::MAX)) {
            waiting.deadline = (waiting.deadline + by).min(waiting.latest);
        }
    }

    /// When the next answer is overdue.
    pub fn due(&self) -> Option<Duration> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    fn of(&self, link: LinkId) -> impl Iterator<Item = u32> {
        self.waiting.range((link, 0)..=(link, u32::MAX)).map(|((_, id), _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::{ASKED_MAX, Asked, EXTENDED_MAX, Terms};
    use crate::primitives::LinkId;
    use std::time::Duration;

    const ONE: LinkId = LinkId(1);
    const TWO: LinkId = LinkId(2);

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// An answer of so many bytes that has to be here at that second.
    fn until(second: u64) -> Terms {
        let bytes = usize::try_from(second).unwrap();
        Terms { since: at(1), deadline: at(second), bytes }
    }

    #[test]
    fn whoever_waits_is_given_back_once_however_it_ends() {
        let mut asked = Asked::default();
        let [a, b, c] = [(ONE, 5), (ONE, 3), (TWO, 4)]
            .map(|(link, second)| asked.ask(link, until(second), second).unwrap());
        assert_eq!((asked.longest(ONE), asked.longest(TWO)), (5, 4));
        assert_eq!(asked.due(), Some(at(3)));
        assert_eq!((asked.answered(TWO, a), asked.answered(ONE, c)), (None, None));
        assert_eq!((asked.answered(ONE, a), asked.answered(ONE, a)), (Some((5, at(1))), None));
        assert_eq!((asked.longest(ONE), asked.longest(LinkId(9))), (3, 0));
        assert_eq!((asked.overdue(at(2)), asked.overdue(at(3))), (vec![], vec![ONE]));
        asked.extend(ONE, at(2));
        assert_eq!((asked.overdue(at(3)), asked.due()), (vec![], Some(at(4))));
        asked.extend(ONE, at(1_000));
        let latest = at(3) + EXTENDED_MAX;
        assert_eq!((asked.inexcusable(at(12)), asked.inexcusable(latest)), (vec![], vec![ONE]));
        assert_eq!((asked.closed(ONE), asked.answered(ONE, b)), (vec![3], None));
        assert_eq!((asked.closed(ONE), asked.closed(TWO)), (vec![], vec![4]));
        assert_eq!(asked.due(), None);
    }

    #[test]
    fn a_link_has_so_many_questions_and_no_number_twice() {
        let mut asked = Asked { next: u32::MAX, ..Asked::default() };
        let times = until(1);
        let ids: Vec<_> = (0..ASKED_MAX).map(|n| asked.ask(ONE, times, n).unwrap()).collect();
        assert_eq!(ids[..3], [u32::MAX, 0, 1]);
        assert_eq!(asked.ask(ONE, times, 99), None);
        asked.next = u32::MAX;
        assert_eq!(asked.answered(ONE, ids[1]), Some((1, at(1))));
        assert_eq!(asked.ask(ONE, times, 100), Some(0), "the one that is free");
        assert!(asked.ask(TWO, times, 101).is_some());
    }
}
