//! How fast one address may ask and be answered: a token bucket for requests and one for bytes out.
//!
//! Owns the buckets of at most [`ADDRESSES_MAX`] addresses. Who is exempt is the caller's rule. IPv6 hosts
//! command a whole /64, so that is what counts as an address there.

use crate::http::settings::{ADDRESSES_MAX, Limits};
use crate::primitives::allowance::{Allowance, Rate};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The buckets of all addresses.
#[derive(Debug)]
pub struct Rates {
    requests: Rate,
    bytes: Rate,
    /// Times are counted from here.
    start: Instant,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// What is left to an address. Bytes may fall below zero: an answer is never cut for its length, the next waits.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    requests: Allowance,
    bytes: Allowance,
    seen: Duration,
}

impl Bucket {
    /// The seconds until one more request may come; `None` if it may now.
    fn wait(&self) -> Option<u32> {
        let wait = self.requests.wait(1, self.seen).max(self.bytes.wait(0, self.seen));
        (!wait.is_zero()).then(|| whole_seconds(wait))
    }
}

impl Rates {
    /// Empty memory, everyone with full buckets.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: rate(limits.requests_per_second, limits.requests_burst),
            bytes: rate(limits.bytes_per_second, limits.bytes_burst),
            start: Instant::now(),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from an address's bucket.
    ///
    /// # Errors
    /// With the seconds until it would succeed, when there is none left.
    pub fn admit(&self, address: IpAddr, now: Instant) -> Result<(), u32> {
        self.with(address, now, |bucket| {
            bucket.wait().map_or(Ok(()), Err)?;
            bucket.requests.charge(1, bucket.seen);
            Ok(())
        })
    }

    /// The seconds until a request of this address would be admitted; `None` if it would be now.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<u32> {
        self.with(address, now, |bucket| bucket.wait())
    }

    /// Takes so many requests more from an address's bucket, which may be more than are left: the next waits.
    pub fn charge_requests(&self, address: IpAddr, requests: u32, now: Instant) {
        self.with(address, now, |bucket| bucket.requests.charge(whole(requests), bucket.seen));
    }

    /// Takes what was answered from an address's bucket.
    pub fn charge(&self, address: IpAddr, bytes: u64, now: Instant) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.with(address, now, |bucket| bucket.bytes.charge(bytes, bucket.seen));
    }

    fn with<T>(&self, address: IpAddr, now: Instant, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let (key, now) = (network(address), now.saturating_duration_since(self.start));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&key) {
            forget_one(&mut buckets);
        }
        let full = |rate: Rate| Allowance::new(rate, rate.saved_max, now);
        let bucket = buckets.entry(key).or_insert_with(|| Bucket {
            requests: full(self.requests),
            bytes: full(self.bytes),
            seen: now,
        });
        bucket.seen = bucket.seen.max(now);
        work(bucket)
    }
}

/// Forgets the address that rested longest: its buckets are the fullest.
fn forget_one(buckets: &mut HashMap<IpAddr, Bucket>) {
    let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.seen).map(|(address, _)| *address);
    if let Some(address) = oldest {
        buckets.remove(&address);
    }
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second: whole(per_second), saved_max: whole(burst) }
}

fn whole(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What counts as one address: an IPv4 address, an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Seconds rounded up, at least one, at most an hour.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs().saturating_add((wait.subsec_nanos() > 0).into());
    u32::try_from(seconds.clamp(1, 3600)).expect("an hour at most")
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, Rates};
    use crate::http::settings::Limits;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    fn rates() -> Rates {
        let limits = Limits {
            requests_per_second: 2,
            requests_burst: 3,
            bytes_per_second: 1000,
            bytes_burst: 5000,
            ..Limits::default()
        };
        Rates::new(&limits)
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn an_address_spends_its_burst_and_then_its_rate() {
        let (rates, start) = (rates(), Instant::now());
        for _ in 0..3 {
            assert_eq!(rates.admit(address(1), start), Ok(()));
        }
        assert_eq!(rates.admit(address(1), start), Err(1));
        assert_eq!(rates.admit(address(2), start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(rates.admit(address(1), later), Ok(()));
        assert_eq!(rates.admit(address(1), later), Err(1));
    }

    #[test]
    fn bytes_out_hold_up_the_next_request() {
        let (rates, start) = (rates(), Instant::now());
        rates.charge(address(1), 9000, start);
        assert_eq!(rates.admit(address(1), start), Err(4));
        assert_eq!(rates.admit(address(1), start + Duration::from_secs(4)), Ok(()));
    }

    #[test]
    fn what_costs_more_holds_up_the_next_request() {
        let (rates, start) = (rates(), Instant::now());
        assert_eq!(rates.admit(address(1), start), Ok(()));
        assert_eq!(rates.wait(address(1), start), None);
        rates.charge_requests(address(1), 6, start);
        assert_eq!(rates.wait(address(1), start), Some(3));
        assert_eq!(rates.admit(address(1), start), Err(3));
        assert_eq!(rates.admit(address(1), start + Duration::from_millis(2_500)), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_shares_a_bucket_and_mapped_ipv4_is_ipv4() {
        let (rates, now) = (rates(), Instant::now());
        for last in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            assert_eq!(rates.admit(last.parse().unwrap(), now), Ok(()));
        }
        assert_eq!(rates.admit("2001:db8::4".parse().unwrap(), now), Err(1));
        assert_eq!(rates.admit("2001:db8:0:1::4".parse().unwrap(), now), Ok(()));
        for _ in 0..3 {
            assert_eq!(rates.admit("::ffff:10.0.0.1".parse().unwrap(), now), Ok(()));
        }
        assert_eq!(rates.admit(address(1), now), Err(1));
    }

    #[test]
    fn the_memory_for_addresses_is_bounded() {
        let (rates, start) = (rates(), Instant::now());
        for number in 0..=u32::try_from(ADDRESSES_MAX).unwrap() {
            let now = start + Duration::from_millis(number.into());
            assert_eq!(rates.admit(IpAddr::V4(Ipv4Addr::from(number)), now), Ok(()));
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(!rates.buckets.lock().unwrap().contains_key(&IpAddr::V4(Ipv4Addr::from(0))));
    }
}
