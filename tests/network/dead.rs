//! Peers that are dead hold up nobody.

use crate::figures::Times;
use crate::harness::{DEADLINE, number_from_env, wait_until};
use crate::is_long;
use crate::watch::Watch;
use crate::world::World;
use rustix::process::Signal;
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The node that mines is the first; these follow.
const LIVE: usize = 4;

/// Peers that answered once; they come behind the live ones.
const DYING: usize = 8;

/// Peers that were never there.
const NEVER_THERE: u8 = 8;

/// Blocks while peers are dead, before they come back.
const BLOCKS_OF_ROUND: u64 = 10;

/// A peer that is not there, in one of its ways.
struct Dead {
    address: SocketAddr,
    _held: Vec<Socket>,
}

impl Dead {
    /// Nobody listens: it refuses at once.
    fn refuses(place: u8) -> Self {
        let address = bound(place).local_addr().expect("an address");
        Self { address, _held: Vec::new() }
    }

    /// It takes connections and never says a word.
    fn is_silent(place: u8) -> Self {
        let listener = bound(place);
        let address = listener.local_addr().expect("an address");
        Self { address, _held: vec![listener.into()] }
    }

    /// What is sent to it vanishes, as with a machine that is switched off: a listener whose queue
    /// is full drops whatever else wants to connect.
    fn vanished(place: u8) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, place), 0);
        socket.bind(&SockAddr::from(address)).expect("an address of this machine");
        socket.listen(0).expect("a listener");
        let address = socket.local_addr().expect("it is bound").as_socket().expect("IPv4");
        let mut held = vec![socket];
        let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        while let Ok(stream) = fill() {
            held.push(stream.into());
        }
        Self { address, _held: held }
    }
}

fn bound(place: u8) -> TcpListener {
    TcpListener::bind((Ipv4Addr::new(127, 0, 1, place), 0)).expect("an address of this machine")
}

fn dead_peers() -> Vec<Dead> {
    (1..=NEVER_THERE)
        .map(|place| match place % 4 {
            0 => Dead::vanished(place),
            1 => Dead::is_silent(place),
            _ => Dead::refuses(place),
        })
        .collect()
}

/// A node that mines, with peers that live and others that die.
struct Rig {
    world: World,
    from: Watch,
    watches: Vec<Watch>,
}

impl Rig {
    fn new() -> Self {
        let pairs: Vec<(usize, usize)> = (1..=LIVE + DYING).map(|other| (0, other)).collect();
        let world = World::linked(1 + LIVE + DYING, &pairs);
        world.nodes[0].create_wallet();
        let from = Watch::of(&world.nodes[0]);
        let watches = world.nodes[1..=LIVE].iter().map(Watch::of).collect();
        Self { world, from, watches }
    }

    /// Adds peers that do not answer; each addition waits for an answer that does not come.
    fn add(&self, dead: &[Dead]) {
        let node = &self.world.nodes[0];
        thread::scope(|scope| {
            for peer in dead {
                let peer = json!({"node": peer.address.to_string()});
                scope.spawn(move || node.post("/node", &peer).expect(201));
            }
        });
    }

    /// Mines blocks, and adds how long each is under way until all live peers have it.
    fn blocks_reach(&self, count: u64, times: &mut Times) {
        for _ in 0..count {
            let block = self.world.nodes[0].mine();
            let hash = block["hash"].as_str().expect("a hash");
            times.push(Watch::spread(hash, &self.from, &self.watches));
        }
    }

    /// Stops those that die: they keep their connections and say nothing any more.
    fn signal_dying(&self, signal: Signal) {
        self.world.nodes[1 + LIVE..].iter().for_each(|node| node.signal(signal));
    }

    /// Peers that have not answered.
    fn lost(&self) -> usize {
        let nodes = self.world.nodes[0].get("/nodes").expect(200);
        let peers = nodes["peers"].as_array().expect("an array").iter();
        peers.filter(|peer| peer["state"] != "connected").count()
    }
}

#[test]
fn sixteen_dead_peers_do_not_hold_up_four_live_ones() {
    let rig = Rig::new();
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 50 } else { 2 });
    let (mut alone, mut beside) = (Times::default(), Times::default());
    rig.blocks_reach(rounds * BLOCKS_OF_ROUND, &mut alone);
    let dead = dead_peers();
    rig.add(&dead);
    for _ in 0..rounds {
        rig.world.are_connected();
        rig.signal_dying(Signal::STOP);
        rig.blocks_reach(BLOCKS_OF_ROUND, &mut beside);
        wait_until("the dead to be found out", || rig.lost() == dead.len() + DYING);
        rig.blocks_reach(BLOCKS_OF_ROUND, &mut beside);
        rig.signal_dying(Signal::CONT);
    }
    println!("blocks reach {LIVE} live peers: {alone}");
    println!("beside {} dead ones: {beside}", dead.len() + DYING);
    let most = if is_long() { Duration::from_millis(500) } else { DEADLINE };
    assert!(beside.percentile(99) <= most, "{beside}");
}
