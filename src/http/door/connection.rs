//! One client's connection: its requests one after the other, each judged before its body is read.
//!
//! Owns the order of the rules. Never knows what a route does. Invariants: one request at a time; the next
//! head is not looked at before the answer has left; whatever leaves it open where the next request starts
//! ends the connection.

use super::Door;
use super::admission::Place;
use super::body::{self, BodyFault};
use super::head::{BodyLength, Head};
use super::input::{Arrival, Input};
use super::live::LiveCall;
use super::output::{self, AnswerHead, Output};
use super::refusal::Refusal;
use super::relay::{self, Delivery, Manner};
use super::upgrade::{self, Upgrade};
use super::watch::{wait_for_answer, wait_for_begin};
use crate::http::access::security_fields;
use crate::http::message::{Cancelled, Method, Request};
use crate::http::routes::{Lane, Match, Params, Spec, allow};
use crate::http::settings::{BODY_OF_A_REQUEST, HELD_MAX, NODE_COST};
use socket2::SockRef;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What follows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another request.
    Request,
    /// The end, once the client has read the answer.
    Close,
    /// The end at once: the client left, or must see that its answer is not whole.
    Cut,
    /// None: the socket has another owner.
    HandedOver,
}

/// What the rules came to.
enum Verdict<'d> {
    /// The route to serve.
    Serve(&'d Spec, Params),
    /// An answer to OPTIONS, whole but for `Connection`.
    Options(AnswerHead),
}

type Fields = Vec<(&'static str, String)>;

/// A connection and what belongs to it.
pub struct Connection<'d> {
    door: &'d Door,
    stream: Arc<TcpStream>,
    input: Input,
    client: SocketAddr,
    place: Place,
}

impl<'d> Connection<'d> {
    /// A connection that was admitted.
    #[must_use]
    pub fn new(door: &'d Door, stream: Arc<TcpStream>, client: SocketAddr, place: Place) -> Self {
        let input = Input::new(Arc::clone(&stream));
        Self { door, stream, input, client, place }
    }

    /// Serves the connection to its end.
    pub fn run(mut self) {
        let limits = &self.door.limits;
        if self.stream.set_write_timeout(Some(limits.piece_time)).is_err()
            || self.stream.set_nodelay(true).is_err()
        {
            return;
        }
        loop {
            let next = match self.input.head(limits.idle_time, limits.head_time) {
                Arrival::Gone => return,
                Arrival::Refused(refusal) => {
                    self.write(&output::refusal(&refusal, false, false, &[]));
                    Next::Close
                }
                Arrival::Head(head) => self.exchange(&head),
            };
            match next {
                Next::Request => self.place.completed(),
                Next::Close => return self.input.close_gently(limits.drain_time),
                Next::HandedOver => return,
                Next::Cut => {
                    // A reset, so that nobody takes the end for that of a whole answer.
                    let _ = SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
                    return;
                }
            }
        }
    }

    /// Serves one request.
    fn exchange(&mut self, head: &Head) -> Next {
        let mut cors = Vec::new();
        let keep_alive = head.keep_alive && !self.door.is_stopping.load(Ordering::Relaxed);
        let (spec, body) = match self.judge(head, &mut cors) {
            Err(refusal) => {
                return self.refuse(&refusal, head, keep_alive && !head.has_body(), &cors);
            }
            Ok(Verdict::Options(mut answer)) => {
                let keep_alive = keep_alive && !head.has_body();
                answer.connection(keep_alive, head.is_http11);
                return self.finish(&answer.end(), keep_alive);
            }
            Ok(Verdict::Serve(spec, params)) if spec.lane.is_handed_over() => {
                return self.hand_over(head, (spec, params), &cors);
            }
            Ok(Verdict::Serve(spec, _)) => match self.body(head, spec) {
                Ok(body) => (spec, body),
                Err(BodyFault::Gone) => return Next::Cut,
                Err(BodyFault::Refused(refusal)) => {
                    return self.refuse(&refusal, head, false, &cors);
                }
            },
        };
        let cost = u32::try_from(body.bytes.len() / BODY_OF_A_REQUEST).unwrap_or(u32::MAX);
        self.charge_requests(head, cost);
        if !body.bytes.is_empty() && !is_json(head) {
            return self.refuse(&Refusal::ContentType, head, keep_alive, &cors);
        }
        let manner = Manner { head, keep_alive, cors: &cors };
        self.place.set_with_handlers(true);
        let next = match spec.lane {
            Lane::Bulk if !self.place.enter_bulk() => Err(Refusal::Busy),
            lane => self.forward(lane, &body.bytes, &manner),
        };
        self.place.leave_bulk();
        self.place.set_with_handlers(false);
        match next {
            Ok(next) => next,
            Err(refusal) => self.refuse(&refusal, head, keep_alive, &cors),
        }
    }

    /// Applies every rule that needs no body. Fills in the CORS fields as soon as the route is known.
    fn judge(&self, head: &Head, cors: &mut Fields) -> Result<Verdict<'d>, Refusal> {
        let door = self.door;
        let caller = head.caller(self.client.ip());
        if !self.is_exempt(head) {
            door.rates.admit(self.client.ip(), Instant::now()).map_err(Refusal::TooMany)?;
        }
        let (spec, params) = match door.table.find(head.method, &head.target.segments) {
            Match::Route { spec, params, .. } => (spec, params),
            Match::Options(specs) => return Ok(Verdict::Options(self.options(head, &specs))),
            Match::WrongMethod(specs) => return Err(Refusal::MethodNotAllowed(allow(&specs))),
            Match::Missing => return Err(Refusal::NotFound),
        };
        *cors = door.policy.cors(spec.class, head.method, caller.origin);
        door.policy.admit(spec.class, head.method, &caller)?;
        match spec.lane {
            Lane::Socket => door.policy.admit_socket(&caller)?,
            _ if upgrade::is_asked(head) => return Err(Refusal::NoUpgrade),
            _ => {}
        }
        if head.has_body() && head.is_encoded {
            return Err(Refusal::ContentEncoding);
        }
        match head.length {
            BodyLength::Exact(0) => {}
            BodyLength::Exact(length)
                if usize::try_from(length).is_ok_and(|length| length <= spec.body_max) =>
            {
                if !is_json(head) {
                    return Err(Refusal::ContentType);
                }
            }
            BodyLength::Exact(_) => return Err(Refusal::BodyTooLarge(spec.body_max)),
            BodyLength::Chunked => {}
        }
        Ok(Verdict::Serve(spec, params))
    }

    /// The answer to OPTIONS on a path with these routes.
    fn options(&self, head: &Head, specs: &[&Spec]) -> AnswerHead {
        let wanted = head.headers.get("access-control-request-method").and_then(Method::from_token);
        let routes: Vec<_> = specs.iter().map(|spec| (spec.class, spec.method)).collect();
        let mut answer = AnswerHead::of_door(204);
        answer.field("Allow", allow(specs));
        let fields = wanted
            .map(|wanted| self.door.policy.preflight(&routes, wanted, head.headers.get("origin")));
        answer.browser_fields("", &fields.unwrap_or_default());
        answer
    }

    /// Reads the body of a request that was found good so far.
    fn body(&mut self, head: &Head, spec: &Spec) -> Result<body::Held<'d>, BodyFault> {
        let door = self.door;
        if head.has_body() && head.expects_continue && !self.input.has_more() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let rule = (&door.memory, Instant::now() + door.limits.body_time);
        body::read(&mut self.input, head.length, spec.body_max, rule)
    }

    /// Sends the request to its lane and the answer to the client.
    fn forward(&mut self, lane: Lane, body: &[u8], manner: &Manner<'_>) -> Result<Next, Refusal> {
        let mut lease = self.door.lanes.take(lane)?;
        let pool = lease.pool();
        let private = lease.private_mut();
        let calls = &self.door.lanes.calls;
        let (guard, cancelled) = Cancelled::pair();
        calls.begin(private.number, cancelled);
        let mut guard = Some(guard);
        if let Err(error) = relay::send(private, manner.head, self.client, body) {
            log::warn!("a private connection broke: {error}");
            private.stream = None;
            return Err(Refusal::Internal);
        }
        if lane == Lane::Wait {
            wait_for_answer(private, &self.stream, &mut guard);
        } else {
            wait_for_begin(private);
        }
        let has_left = guard.is_none();
        // The client has left already when there is no guard; the answer is read to its end all the same.
        let guard = guard.unwrap_or_else(|| Cancelled::pair().0);
        let mut output = Output::new(&self.stream, self.door.limits.piece_time);
        // From here on bulk waits for the client more than for us.
        self.place.set_with_handlers(lane != Lane::Bulk);
        let held_max = if lane == Lane::Bulk { 0 } else { HELD_MAX };
        let received = relay::receive(
            private,
            calls,
            manner,
            Delivery { output: &mut output, held_max, pool },
            guard,
        );
        if received.is_err() {
            private.stream = None;
        }
        drop(lease);
        self.place.set_with_handlers(false);
        let ending = received.map(|ending| {
            output.write(&ending.held);
            (ending.is_whole && !output.has_failed(), ending.keep_alive && !has_left)
        });
        let sent = output.sent();
        self.charge(manner.head, sent);
        match ending {
            Ok((true, true)) => Ok(Next::Request),
            Ok((true, false)) => Ok(Next::Close),
            Ok((false, _)) => Ok(Next::Cut),
            Err(error) => {
                log::warn!("a private connection broke: {error}");
                if sent == 0 { Err(Refusal::Internal) } else { Ok(Next::Cut) }
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal, head: &Head, keep_alive: bool, cors: &Fields) -> Next {
        let keep_alive = keep_alive && refusal.keeps_connection();
        let bytes = output::refusal(refusal, keep_alive, head.method == Method::Head, cors);
        self.finish(&bytes, keep_alive)
    }

    fn finish(&mut self, bytes: &[u8], keep_alive: bool) -> Next {
        match (self.write(bytes), keep_alive) {
            (true, true) => Next::Request,
            (true, false) => Next::Close,
            (false, _) => Next::Cut,
        }
    }

    /// Writes an answer of the door's own.
    fn write(&self, bytes: &[u8]) -> bool {
        let mut output = Output::new(&self.stream, self.door.limits.piece_time);
        output.write(bytes);
        !output.has_failed()
    }

    /// Whether the rates do not count: for someone at the machine itself.
    fn is_exempt(&self, head: &Head) -> bool {
        head.caller(self.client.ip()).is_local(&self.door.policy)
    }

    fn charge(&self, head: &Head, sent: u64) {
        if !self.is_exempt(head) {
            self.door.rates.charge(self.client.ip(), sent, Instant::now());
        }
    }

    fn charge_requests(&self, head: &Head, requests: u32) {
        if !self.is_exempt(head) {
            self.door.rates.charge_requests(self.client.ip(), requests, Instant::now());
        }
    }

    /// Gives the socket to the live part, if it takes it.
    fn hand_over(&mut self, head: &Head, route: (&Spec, Params), cors: &Fields) -> Next {
        match self.try_hand_over(head, route, cors) {
            Ok(()) => Next::HandedOver,
            // Whoever wants a stream does not go on with other requests.
            Err(refusal) => self.refuse(&refusal, head, false, cors),
        }
    }

    fn try_hand_over(
        &self,
        head: &Head,
        (spec, params): (&Spec, Params),
        cors: &Fields,
    ) -> Result<(), Refusal> {
        if head.has_body() {
            return Err(Refusal::BodyTooLarge(0));
        }
        let upgrade = self.upgrade(head, spec)?;
        let live = self.door.live.as_ref().ok_or(Refusal::Busy)?;
        let stream = self.stream.try_clone().map_err(|_| Refusal::Busy)?;
        let mut fields = cors.clone();
        let security = security_fields("").iter().map(|(name, value)| (*name, (*value).to_owned()));
        fields.extend(security);
        let request = Request {
            method: head.method,
            target: head.target.clone(),
            headers: head.headers.clone(),
            client: self.client,
            body: Vec::new(),
            cancelled: Cancelled::never(),
            params,
        };
        let is_node = upgrade.as_ref().is_some_and(|upgrade| upgrade.is_peer);
        let (way, patience) = if is_node {
            self.charge_requests(head, NODE_COST - 1);
            (&live.nodes, Duration::ZERO)
        } else {
            (&live.listeners, self.door.limits.queue_time)
        };
        let call = LiveCall { request, stream, upgrade, fields, is_local: self.is_exempt(head) };
        // The wait is ours, and an eviction would shut the socket that may be no longer.
        self.place.set_with_handlers(true);
        let sent = way.send_timeout(call, patience);
        self.place.set_with_handlers(sent.is_ok());
        sent.map_err(|_| Refusal::Busy)
    }

    /// The handshake, where the route wants one.
    fn upgrade(&self, head: &Head, spec: &Spec) -> Result<Option<Upgrade>, Refusal> {
        if spec.lane != Lane::Socket {
            return Ok(None);
        }
        let upgrade = upgrade::check(head)?;
        if self.input.has_more() {
            // They would be lost with the buffer that holds them.
            return Err(Refusal::Handshake("no bytes before the answer to the handshake"));
        }
        Ok(Some(upgrade))
    }
}

/// Whether the body is said to be JSON.
fn is_json(head: &Head) -> bool {
    let kind = head.headers.get("content-type").unwrap_or("");
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
