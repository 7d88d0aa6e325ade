//! The fake network: the jobs of the real peer network, with calls that travel through the weather,
//! answered by the real handlers of HTTP.

use crate::clock::SECOND;
use crate::rules::PREFIX;
use crate::world::{What, World};
use farthing::http::routes::Match;
use farthing::http::{Body, Cancelled, Headers, Method, ROUTES, Request, Table};
use farthing::net::client::{CallError, Pace, PeerClient, Reply, bytes_max, duration_max};
use farthing::net::{Begun, Job};
use farthing::primitives::PeerAddress;
use farthing::wire::{HttpForm, Question};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// How long opening a connection is tried.
const CONNECT_MAX: u64 = 2 * SECOND;

/// A question as it stands on the wire.
#[derive(Clone, Debug)]
pub struct Form {
    pub method: Method,
    pub target: String,
    pub body: String,
}

impl Form {
    pub fn of(question: &Question) -> Self {
        let HttpForm { path, body } = question.http(PREFIX);
        let method = if body.is_some() { Method::Post } else { Method::Get };
        Self { method, target: path, body: body.unwrap_or_default() }
    }
}

/// A call that is under way.
pub struct Open {
    /// Who asks.
    from: usize,
    incarnation: u64,
    job: Job,
    /// Bytes that an answer may have.
    bytes_max: usize,
}

/// Nobody calls by it: all calls are jobs.
pub struct NoClient;

impl PeerClient for NoClient {
    fn call(&self, _: &PeerAddress, _: &Question, _: Pace) -> Result<Reply, CallError> {
        Err(CallError::Unreachable("no calls but by jobs".to_owned()))
    }
}

fn unreachable(why: &str) -> CallError {
    CallError::Unreachable(why.to_owned())
}

impl World {
    /// Lets a node begin all that is due, if something has changed or it is time.
    pub fn drive(&mut self, index: usize) {
        while let Some(run) =
            self.nodes[index].run.as_mut().filter(|run| run.has_to_look(self.time.now()))
        {
            let (network, changes) = (run.network.clone(), run.network.changes());
            self.tally.looks += 1;
            match network.next() {
                Ok(job) => {
                    run.looked = None;
                    if let Begun::Http { address, question, pace } = network.begin(&job) {
                        self.dispatch(index, job, (&address, &question, pace));
                    }
                    if self.nodes[index].is_doomed() {
                        return;
                    }
                }
                Err(wait) => {
                    run.looked = Some(changes);
                    self.wake_in(index, wait);
                }
            }
        }
    }

    fn wake_in(&mut self, index: usize, wait: std::time::Duration) {
        let wait = self.nodes[index].clock.true_micros(wait).max(1_000);
        let at = self.now() + wait;
        let incarnation = self.nodes[index].incarnation;
        let Some(run) = &mut self.nodes[index].run else { return };
        if run.wakes_at <= self.time.now() || at < run.wakes_at {
            run.wakes_at = at;
            self.after(wait, What::Wake(index, incarnation, at));
        }
    }

    /// A node has waited long enough.
    pub fn wake(&mut self, index: usize, incarnation: u64, at: u64) {
        let node = &self.nodes[index];
        if node.incarnation == incarnation
            && node.run.as_ref().is_some_and(|run| run.wakes_at == at)
        {
            self.tally.wakes += 1;
            self.settle(index);
        }
    }

    fn dispatch(
        &mut self,
        from: usize,
        job: Job,
        (address, question, pace): (&PeerAddress, &Question, Pace),
    ) {
        self.calls_made += 1;
        let id = self.calls_made;
        self.tally.calls += 1;
        let limit = u64::try_from(duration_max(question, pace).as_micros()).expect("seconds");
        let incarnation = self.nodes[from].incarnation;
        let to = self.place_of(address);
        let open = Open { from, incarnation, job, bytes_max: bytes_max(question) };
        let form = Form::of(question);
        self.note(20 + id, || format!("node {from} calls {address}: {} (call {id})", shown(&form)));
        self.open.insert(id, open);
        self.after(limit, What::Expire(id));
        let Some(to) = to.filter(|to| self.is_reachable(*to)) else {
            return self.after(self.weather.latency, What::Answer(id, Err(unreachable("refused"))));
        };
        // A connection needs both ways.
        if self.weather.is_cut(from, to) || self.weather.is_cut(to, from) {
            self.tally.cut_off += 1;
            return self.after(CONNECT_MAX, What::Answer(id, Err(unreachable("no connection"))));
        }
        let way = 3 * self.weather.way(&mut self.random);
        if self.random.percent(self.weather.doubles) {
            self.tally.doubles += 1;
            let late = way + self.weather.way(&mut self.random);
            self.after(late, What::Question { id: None, from, to, form: form.clone() });
        }
        self.after(way, What::Question { id: Some(id), from, to, form });
    }

    /// The place behind an address.
    pub fn place_of(&self, address: &PeerAddress) -> Option<usize> {
        let nodes = self.nodes.iter().map(|node| &node.address);
        nodes.chain(self.liars.iter().map(|liar| &liar.address)).position(|at| at == address)
    }

    /// Where a place calls from.
    pub fn address_of(&self, place: usize) -> &PeerAddress {
        match place.checked_sub(self.nodes.len()) {
            None => &self.nodes[place].address,
            Some(liar) => &self.liars[liar].address,
        }
    }

    /// Whether a place takes calls.
    pub fn is_reachable(&self, place: usize) -> bool {
        self.nodes.get(place).is_none_or(|node| !node.is_hidden)
    }

    /// A question arrives; `id` is that of the call that waits for the answer.
    pub fn question(&mut self, id: Option<u64>, (from, to): (usize, usize), form: &Form) {
        if to >= self.nodes.len() {
            return self.ask_liar(id, (from, to), form);
        }
        let answer = if self.nodes[to].is_up() {
            let answer = self.serve(to, from, form);
            if self.settle(to) { answer } else { Err(unreachable("connection closed")) }
        } else {
            Err(unreachable("refused"))
        };
        if let Some(id) = id {
            self.reply(id, (from, to), answer);
        }
    }

    /// Sends an answer on its way.
    pub fn reply(&mut self, id: u64, (from, to): (usize, usize), answer: Result<Reply, CallError>) {
        if self.weather.is_cut(to, from) {
            self.tally.cut_off += 1;
            return;
        }
        let way = self.weather.way(&mut self.random);
        if self.random.percent(self.weather.resets) {
            self.tally.resets += 1;
            return self.after(way, What::Answer(id, Err(unreachable("connection closed"))));
        }
        self.after(way, What::Answer(id, answer));
    }

    /// What a node answers: its real handlers, called as the server calls them.
    pub fn serve(&self, to: usize, from: usize, form: &Form) -> Result<Reply, CallError> {
        let closed = || unreachable("connection closed");
        let run = self.nodes[to].run.as_ref().ok_or_else(closed)?;
        let client = SocketAddr::new(self.address_of(from).ip().expect("a number"), 40_000);
        let Some(request) = request(form, client) else {
            return Ok(Reply { status: 400, body: String::new() });
        };
        let Match::Route { index, params, .. } =
            table().find(request.method, &request.target.segments)
        else {
            return Ok(Reply { status: 404, body: String::new() });
        };
        let request = Request { params, ..request };
        let response = (ROUTES[index].handler)(&run.api, &request);
        let body = match response.body {
            Body::Bytes(bytes) => String::from_utf8(bytes.into_owned()).expect("JSON is text"),
            Body::Stream(mut reader) => {
                let mut text = String::new();
                reader.read_to_string(&mut text).map_err(|_| closed())?;
                text
            }
        };
        Ok(Reply { status: response.status, body })
    }

    /// An answer arrives, or what stands for it.
    pub fn answer(&mut self, id: u64, answer: Result<Reply, CallError>) {
        let Some(open) = self.open.remove(&id) else { return };
        let index = open.from;
        if self.nodes[index].incarnation != open.incarnation {
            return;
        }
        let Some(run) = &self.nodes[index].run else { return };
        let most = open.bytes_max;
        let answer = match answer {
            Ok(reply) if reply.body.len() > most => Err(CallError::TooLong(most)),
            answer => answer,
        };
        match &answer {
            Ok(_) => self.tally.answers += 1,
            Err(CallError::TimedOut) => self.tally.timeouts += 1,
            Err(_) => self.tally.failed_calls += 1,
        }
        let network = run.network.clone();
        let mark = answer.as_ref().map_or(1, |reply| u64::from(reply.status));
        self.note(mark, || match &answer {
            Ok(reply) => {
                format!("node {index} gets {} for call {id}: {}", reply.status, cut(&reply.body))
            }
            Err(error) => format!("node {index} gets nothing for call {id}: {error}"),
        });
        network.finish(open.job, answer);
        self.settle(index);
    }
}

fn request(form: &Form, client: SocketAddr) -> Option<Request> {
    let target = farthing::http::message::Target::parse(&form.target).ok()?;
    Some(Request {
        method: form.method,
        target,
        headers: Headers::default(),
        client,
        body: form.body.clone().into_bytes(),
        cancelled: Cancelled::never(),
        params: Vec::new(),
    })
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(&ROUTES))
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

fn shown(form: &Form) -> String {
    format!("{} {}", cut(&form.target), cut(&form.body))
}

/// The miner of the API, which nobody calls here.
pub struct NoMiner;

impl farthing::node::ports::MinerControl for NoMiner {
    fn status(&self) -> farthing::node::ports::MinerStatus {
        farthing::node::ports::MinerStatus::default()
    }

    fn switch(&self, _: bool) {}

    fn set_threads(&self, _: usize) {}

    fn mine_one(
        &self,
        _: std::time::Duration,
        _: &dyn Fn() -> bool,
    ) -> Result<farthing::node::ports::Mined, farthing::node::ports::MineError> {
        Err(farthing::node::ports::MineError::Cancelled)
    }
}
