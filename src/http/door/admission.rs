//! Which connections are open and which one gives way to a newcomer.
//!
//! Owns the table of connections. Never reads or writes a socket, but shuts down those that give way.
//! Invariants: at most `connections_max` stand in the table; the last `home_places` of them are only for
//! 127.0.0.1 and ::1; a connection whose request is with the handlers never gives way, because the
//! wait is ours.

use crate::http::settings::Limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads of connections that have given way and are about to end. When so many still run, newcomers wait.
const LEAVING_MAX: usize = 16;

/// How long a newcomer waits for those to end before it is turned away.
const LEAVING_TIME: Duration = Duration::from_millis(50);

/// The table of connections.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    start: Instant,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    threads: usize,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    stream: Arc<TcpStream>,
    activity: Arc<Activity>,
}

#[derive(Debug, Default)]
struct Activity {
    /// Nanoseconds from the table's start to the last completed request, or to the admission.
    completed_at: AtomicU64,
    with_handlers: AtomicBool,
    in_bulk: AtomicBool,
}

/// A place in the table, held by the connection's thread and given back when dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    id: u64,
    activity: Arc<Activity>,
}

impl Connections {
    /// An empty table.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            start: Instant::now(),
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// A place for a newcomer, perhaps that of the connection that has gone longest without completing a
    /// request; `None` when nobody can give way.
    #[must_use]
    pub fn admit(self: &Arc<Self>, address: IpAddr, stream: &Arc<TcpStream>) -> Option<Place> {
        let threads_max = self.limits.connections_max + LEAVING_MAX;
        let (mut state, _) = self
            .left
            .wait_timeout_while(self.lock(), LEAVING_TIME, |state| state.threads >= threads_max)
            .unwrap_or_else(PoisonError::into_inner);
        if state.threads >= threads_max || !state.make_room(address, &self.limits) {
            return None;
        }
        let id = state.next;
        state.next += 1;
        state.threads += 1;
        let activity = Arc::new(Activity::default());
        activity.completed_at.store(self.now(), Ordering::Relaxed);
        let entry = Entry { address, stream: Arc::clone(stream), activity: Arc::clone(&activity) };
        state.open.insert(id, entry);
        Some(Place { connections: Arc::clone(self), id, activity })
    }

    /// The connections that stand in the table.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Lets no connection read another request and waits up to `time` for the current answers; then cuts.
    pub fn stop(&self, time: Duration) {
        self.shut_all(Shutdown::Read);
        self.wait_for_none(time);
        self.shut_all(Shutdown::Both);
        self.wait_for_none(LEAVING_TIME);
    }

    fn shut_all(&self, how: Shutdown) {
        for entry in self.lock().open.values() {
            // A client that has gone already needs no telling.
            let _ = entry.stream.shutdown(how);
        }
    }

    fn wait_for_none(&self, time: Duration) {
        let waited = self.left.wait_timeout_while(self.lock(), time, |state| state.threads > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl State {
    /// Makes room for one more of this address, if need be at another's cost.
    fn make_room(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let per_address =
            if address.is_loopback() { limits.per_loopback_max } else { limits.per_address_max };
        if self.open.values().filter(|entry| entry.address == address).count() >= per_address {
            return self.evict(|entry| entry.address == address);
        }
        let guests = self.open.values().filter(|entry| !is_home(entry.address)).count();
        if !is_home(address) && guests >= limits.connections_max - limits.home_places {
            return self.evict(|entry| !is_home(entry.address));
        }
        self.open.len() < limits.connections_max || self.evict(|_| true)
    }

    /// Shuts down the one of these that has gone longest without completing a request.
    fn evict(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(_, entry)| {
                among(entry) && !entry.activity.with_handlers.load(Ordering::Relaxed)
            })
            .min_by_key(|(id, entry)| (entry.activity.completed_at.load(Ordering::Relaxed), **id))
            .map(|(id, _)| *id);
        let Some(entry) = longest.and_then(|id| self.open.remove(&id)) else {
            return false;
        };
        let _ = entry.stream.shutdown(Shutdown::Both);
        true
    }
}

impl Place {
    /// Notes that a request has been answered.
    pub fn completed(&self) {
        self.activity.completed_at.store(self.connections.now(), Ordering::Relaxed);
    }

    /// Notes whether the connection's request is with the handlers.
    pub fn set_with_handlers(&self, with_handlers: bool) {
        self.activity.with_handlers.store(with_handlers, Ordering::Relaxed);
    }

    /// Notes that the connection's request is one for bulk; false when the address has as many as it may.
    #[must_use]
    pub fn enter_bulk(&self) -> bool {
        let state = self.connections.lock();
        let Some(own) = state.open.get(&self.id) else {
            return false;
        };
        let is_in_bulk = |entry: &&Entry| entry.activity.in_bulk.load(Ordering::Relaxed);
        let same = state
            .open
            .values()
            .filter(|entry| entry.address == own.address)
            .filter(is_in_bulk)
            .count();
        let is_admitted =
            own.address.is_loopback() || same < self.connections.limits.bulk_per_address_max;
        own.activity.in_bulk.store(is_admitted, Ordering::Relaxed);
        is_admitted
    }

    /// Notes that the connection's request for bulk is over.
    pub fn leave_bulk(&self) {
        self.activity.in_bulk.store(false, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.open.remove(&self.id);
        state.threads -= 1;
        drop(state);
        self.connections.left.notify_all();
    }
}

/// The two addresses of the person at the machine. Others of 127.0.0.0/8 are ordinary neighbours.
fn is_home(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::{Connections, Place};
    use crate::http::settings::Limits;
    use std::io::Read;
    use std::net::{IpAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::Duration;

    const HOME: [u8; 4] = [127, 0, 0, 1];

    struct World {
        listener: TcpListener,
        connections: Arc<Connections>,
    }

    impl World {
        fn new() -> Self {
            let limits = Limits {
                connections_max: 5,
                home_places: 2,
                per_address_max: 2,
                per_loopback_max: 4,
                bulk_per_address_max: 1,
                ..Limits::default()
            };
            Self {
                listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                connections: Arc::new(Connections::new(&limits)),
            }
        }

        /// A connection that pretends to come from `address`, and its client's end.
        fn connect(&self, address: impl Into<IpAddr>) -> (Option<Place>, TcpStream) {
            let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            let (stream, _) = self.listener.accept().unwrap();
            (self.connections.admit(address.into(), &Arc::new(stream)), client)
        }
    }

    fn is_cut(client: &TcpStream) -> bool {
        client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        matches!((&*client).read(&mut [0]), Ok(0))
    }

    #[test]
    fn an_address_gives_way_to_itself_first() {
        let world = World::new();
        let (first, first_client) = world.connect([10, 0, 0, 1]);
        let (second, second_client) = world.connect([10, 0, 0, 1]);
        first.as_ref().unwrap().completed();
        let (third, _third_client) = world.connect([10, 0, 0, 1]);
        assert!(third.is_some() && is_cut(&second_client) && !is_cut(&first_client));
        drop((first, second, third));
        assert_eq!(world.connections.count(), 0);
    }

    #[test]
    fn home_keeps_its_places_and_the_longest_idle_guest_goes() {
        let world = World::new();
        let guests: Vec<_> = (1..=3).map(|last| world.connect([10, 0, 0, last])).collect();
        let (newcomer, _client) = world.connect([10, 0, 0, 4]);
        assert!(newcomer.is_some() && is_cut(&guests[0].1) && !is_cut(&guests[1].1));
        let homes: Vec<_> = (0..2).map(|_| world.connect(HOME)).collect();
        assert!(homes.iter().all(|(place, _)| place.is_some()) && !is_cut(&guests[1].1));
        assert_eq!(world.connections.count(), 5);
        let (third, _third_client) = world.connect(HOME);
        assert!(third.is_some() && is_cut(&guests[1].1) && !is_cut(&homes[0].1));
    }

    #[test]
    fn an_address_has_few_places_in_bulk_and_loopback_all() {
        let world = World::new();
        let [first, second] = [(); 2].map(|()| world.connect([10, 0, 0, 1]));
        let [first_place, second_place] =
            [&first.0, &second.0].map(|place| place.as_ref().unwrap());
        assert!(first_place.enter_bulk() && !second_place.enter_bulk());
        let other = world.connect([10, 0, 0, 2]);
        assert!(other.0.as_ref().unwrap().enter_bulk());
        first_place.leave_bulk();
        assert!(second_place.enter_bulk());
        drop(other);
        for (place, _client) in [(); 2].map(|()| world.connect(HOME)) {
            assert!(place.unwrap().enter_bulk());
        }
    }

    #[test]
    fn a_connection_with_the_handlers_never_gives_way() {
        let world = World::new();
        let guests: Vec<_> = (1..=3).map(|last| world.connect([10, 0, 0, last])).collect();
        for (place, _) in &guests {
            place.as_ref().unwrap().set_with_handlers(true);
        }
        assert!(world.connect([10, 0, 0, 4]).0.is_none());
        guests[2].0.as_ref().unwrap().set_with_handlers(false);
        let (newcomer, _client) = world.connect([10, 0, 0, 4]);
        assert!(newcomer.is_some() && is_cut(&guests[2].1) && !is_cut(&guests[0].1));
    }
}
