//! The route table: which request goes to which handler, who may call it and where it waits.
//!
//! Owns the types of the table and the matching. Never runs a handler. Invariants: a route states its
//! security class, its lane and its body limit, or it does not compile; HEAD is served by GET; no two
//! routes share a method and a pattern.

use super::message::{Method, Request, Response};
use std::borrow::Cow;

/// Who may call a route; the rules are in [`super::access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anyone: reads, and what nodes tell each other.
    Public,
    /// The person who runs the node: wallet, mining, list of peers.
    Operator,
}

/// Where a request waits for its answer. Each lane has places of its own, so that none holds up another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Answered at once from memory or after one turn of the chain's owner.
    Small,
    /// Streams much: blocks, the whole chain, snapshots.
    Bulk,
    /// May block for minutes (mining); is told when its client leaves.
    Wait,
    /// The socket itself goes to the live part; the handler is never called.
    Live,
    /// As [`Lane::Live`], if the request begins a WebSocket.
    Socket,
}

impl Lane {
    /// Whether the socket is given away instead of an answer.
    #[must_use]
    pub const fn is_handed_over(self) -> bool {
        matches!(self, Self::Live | Self::Socket)
    }
}

/// What a route runs. It bounds its own time, except in [`Lane::Wait`], where it watches `request.cancelled`.
pub type Handler<C> = fn(&C, &Request) -> Response;

/// One line of the route table. `C` is the context all handlers share.
pub struct Route<C> {
    /// The method; GET serves HEAD as well. OPTIONS is answered for all routes and stands in no table.
    pub method: Method,
    /// The path, with `{name}` for one whole segment: `/node/{node}`.
    pub pattern: &'static str,
    /// Who may call it.
    pub class: Class,
    /// Where it waits.
    pub lane: Lane,
    /// The longest body in bytes; 0 for routes that take none. A body must be `application/json`.
    pub body_max: usize,
    /// What it runs.
    pub handler: Handler<C>,
}

/// A handler for routes of [`Lane::Live`] and [`Lane::Socket`], where none is called.
pub fn handed_over<C>(_context: &C, _request: &Request) -> Response {
    Response::failure(500, "live-only", "this route is served by the live part alone")
}

/// What the door needs to know of a route, without its context type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// See [`Route::method`].
    pub method: Method,
    /// See [`Route::pattern`].
    pub pattern: &'static str,
    /// See [`Route::class`].
    pub class: Class,
    /// See [`Route::lane`].
    pub lane: Lane,
    /// See [`Route::body_max`].
    pub body_max: usize,
}

impl Spec {
    fn serves_head(&self) -> bool {
        self.method == Method::Get && !self.lane.is_handed_over()
    }
}

/// The values of a pattern's names.
pub type Params = Vec<(&'static str, String)>;

/// What a method and a path come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<'t> {
    /// The route at this index of the table.
    Route {
        /// The place in the table.
        index: usize,
        /// What the route says of itself.
        spec: &'t Spec,
        /// The values of the pattern's names.
        params: Params,
    },
    /// An OPTIONS on a path that exists: the routes there.
    Options(Vec<&'t Spec>),
    /// The path exists, the method does not: the routes there.
    WrongMethod(Vec<&'t Spec>),
    /// No such path.
    Missing,
}

/// The routes in a form that can be searched.
#[derive(Clone, Debug)]
pub struct Table {
    lines: Vec<Line>,
}

/// A route and its pattern taken apart.
#[derive(Clone, Debug)]
struct Line {
    spec: Spec,
    parts: Vec<&'static str>,
}

impl Table {
    /// The table of these routes.
    ///
    /// # Panics
    /// When two routes have the same method and pattern, or one cannot be matched: a fault of the program,
    /// found by the first test that builds the table.
    #[must_use]
    pub fn new<C>(routes: &[Route<C>]) -> Self {
        let mut lines: Vec<Line> = Vec::with_capacity(routes.len());
        for route in routes {
            let Route { method, pattern, class, lane, body_max, handler: _ } = *route;
            assert!(pattern.starts_with('/'), "route {pattern} must start with a slash");
            assert!(
                !matches!(method, Method::Options | Method::Head),
                "OPTIONS and HEAD of {pattern} are served without a route"
            );
            assert!(
                !lines
                    .iter()
                    .any(|line| line.spec.method == method && line.spec.pattern == pattern),
                "route {} {pattern} stands twice",
                method.as_str()
            );
            let parts = pattern[1..].split('/').filter(|_| pattern != "/").collect();
            lines.push(Line { spec: Spec { method, pattern, class, lane, body_max }, parts });
        }
        Self { lines }
    }

    /// What a method and decoded path segments come to. A literal segment wins over a `{name}`. No route ends
    /// with a slash: one behind the value of a name belongs to it, so that the handler says what it expects.
    #[must_use]
    pub fn find(&self, method: Method, segments: &[String]) -> Match<'_> {
        let segments = &*with_last_slash(segments);
        let Some(best) = self.best(segments) else {
            return Match::Missing;
        };
        let here = || {
            self.lines.iter().enumerate().filter(|(_, line)| line.spec.pattern == best.spec.pattern)
        };
        let specs = || here().map(|(_, line)| &line.spec).collect();
        if method == Method::Options {
            return Match::Options(specs());
        }
        let serves =
            |spec: &Spec| spec.method == method || method == Method::Head && spec.serves_head();
        match here().find(|(_, line)| serves(&line.spec)) {
            Some((index, line)) => {
                Match::Route { index, spec: &line.spec, params: params(&line.parts, segments) }
            }
            None => Match::WrongMethod(specs()),
        }
    }

    /// Every route, in the order of the table.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.lines.iter().map(|line| &line.spec)
    }

    /// A route of the best pattern for this path: from the left, literal wins over `{name}`.
    fn best(&self, segments: &[String]) -> Option<&Line> {
        self.lines.iter().filter(|line| fits(&line.parts, segments)).reduce(|best, line| {
            if literals(&line.parts).gt(literals(&best.parts)) { line } else { best }
        })
    }
}

/// The value of `Allow` for the routes of one path.
#[must_use]
pub fn allow(specs: &[&Spec]) -> String {
    let mut methods = Vec::new();
    for spec in specs {
        methods.push(spec.method.as_str());
        if spec.serves_head() {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// The segments with the slash at the end of the path in the last of them.
fn with_last_slash(segments: &[String]) -> Cow<'_, [String]> {
    match segments {
        [first @ .., last, end] if end.is_empty() && !last.is_empty() => {
            Cow::Owned([first, &[format!("{last}/")]].concat())
        }
        _ => Cow::Borrowed(segments),
    }
}

/// The name inside `{name}`, if a part of a pattern is one.
fn name_of(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn fits(parts: &[&'static str], segments: &[String]) -> bool {
    parts.len() == segments.len()
        && parts.iter().zip(segments).all(|(part, segment)| match name_of(part) {
            Some(_) => !segment.is_empty(),
            None => part == segment,
        })
}

/// Which parts are literal; compared from the left, more literal is greater.
fn literals(parts: &[&'static str]) -> impl Iterator<Item = bool> {
    parts.iter().map(|part| name_of(part).is_none())
}

fn params(parts: &[&'static str], segments: &[String]) -> Params {
    parts
        .iter()
        .zip(segments)
        .filter_map(|(part, segment)| Some((name_of(part)?, segment.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Class, Lane, Match, Method, Route, Table, allow, handed_over};
    use crate::http::message::Target;

    const fn route(method: Method, pattern: &'static str, lane: Lane) -> Route<()> {
        Route { method, pattern, class: Class::Public, lane, body_max: 0, handler: handed_over }
    }

    fn table() -> Table {
        Table::new(&[
            route(Method::Get, "/", Lane::Small),
            route(Method::Get, "/wallet", Lane::Small),
            route(Method::Post, "/wallet", Lane::Small),
            route(Method::Get, "/block/{id}", Lane::Small),
            route(Method::Get, "/block/tip", Lane::Small),
            route(Method::Get, "/address/{address}/transactions", Lane::Bulk),
            route(Method::Delete, "/node/{node}", Lane::Small),
            route(Method::Get, "/events", Lane::Live),
            route(Method::Get, "/live", Lane::Socket),
        ])
    }

    /// Checks what a request comes to: `pattern name=value`, `404`, or `405 Allow`.
    fn check(method: Method, path: &str, expected: &str) {
        let table = table();
        let found = match table.find(method, &Target::parse(path).unwrap().segments) {
            Match::Route { spec, params, index } => {
                assert_eq!(table.specs().nth(index), Some(spec));
                params.iter().fold(spec.pattern.to_owned(), |text, (name, value)| {
                    format!("{text} {name}={value}")
                })
            }
            Match::Options(specs) => format!("options {}", allow(&specs)),
            Match::WrongMethod(specs) => format!("405 {}", allow(&specs)),
            Match::Missing => "404".to_owned(),
        };
        assert_eq!(found, expected, "{method:?} {path}");
    }

    #[test]
    fn requests_find_their_route_or_learn_why_not() {
        check(Method::Get, "/", "/");
        check(Method::Get, "/?a=b", "/");
        check(Method::Get, "/wallet", "/wallet");
        check(Method::Head, "/wallet", "/wallet");
        check(Method::Post, "/wallet", "/wallet");
        check(Method::Get, "/block/17", "/block/{id} id=17");
        check(Method::Get, "/block/tip", "/block/tip");
        check(
            Method::Get,
            "/address/far1q/transactions",
            "/address/{address}/transactions address=far1q",
        );
        check(Method::Delete, "/node/127.0.0.1:5001", "/node/{node} node=127.0.0.1:5001");
        check(Method::Delete, "/node/127.0.0.1:5001/", "/node/{node} node=127.0.0.1:5001/");
        check(Method::Get, "/block/tip/?a", "/block/{id} id=tip/");
        check(Method::Get, "/node/x/", "405 DELETE, OPTIONS");
        check(Method::Options, "/wallet", "options GET, HEAD, POST, OPTIONS");
        check(Method::Put, "/wallet", "405 GET, HEAD, POST, OPTIONS");
        check(Method::Get, "/node/x", "405 DELETE, OPTIONS");
        check(Method::Head, "/events", "405 GET, OPTIONS");
        check(Method::Head, "/live", "405 GET, OPTIONS");
        for path in [
            "/wallet/",
            "//",
            "/walle",
            "/block",
            "/block/",
            "/block//",
            "/block/a//",
            "/block/a/b",
            "/address/a/transactions/",
            "/Wallet",
            "/node/",
        ] {
            check(Method::Get, path, "404");
        }
        check(Method::Options, "/nothing", "404");
    }

    #[test]
    #[should_panic(expected = "stands twice")]
    fn a_route_that_stands_twice_is_a_fault_of_the_program() {
        let _ = Table::new(&[
            route(Method::Get, "/a", Lane::Small),
            route(Method::Get, "/a", Lane::Bulk),
        ]);
    }
}
