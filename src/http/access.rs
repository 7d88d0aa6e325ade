//! Who may call what, and what a browser may do with the answer. Pure functions over values.
//!
//! Owns the security classes, CORS and the security fields of answers. Never reads a socket, a file or a
//! clock. What holds:
//!
//! - An operator route is open to a caller **by place** (loopback client, no proxy's fields, `Host` one of
//!   ours with our port, `Origin` absent or ours, `Sec-Fetch-Site` absent, `same-origin` or `none`) or **by
//!   token** (the bearer token; `Origin` absent, the origin the request was sent to, or configured). This
//!   stops other machines, pages of other origins (forged requests, hijacked WebSockets) and DNS
//!   rebinding, whose `Host` is never one of ours. A token of an earlier run does no harm to a caller by
//!   place, or a page that kept it would lock its user out.
//! - A public read is open to all, with `Access-Control-Allow-Origin: *`: it shows nothing that any node of
//!   the network would not tell, and no credentials go with `*`.
//! - A public route that is not a read (`/broadcast-*`, the handshake) is for nodes and programs, which send
//!   no `Origin`. A page of a foreign origin could use its visitor's browser to reach a node that is closed to
//!   the network, to spend the loopback client's freedom from rate limits, or to make the node know a
//!   peer of the page's choice. Browsers send `Origin` with every such request, also without CORS and as `null`,
//!   so: a foreign `Origin` or `Sec-Fetch-Site: cross-site` or `same-site` is refused before the body is read.
//!   Beside it, bodies must be `application/json`, which no form and no request without preflight can send,
//!   and the preflight is granted to configured origins alone.
//! - A WebSocket is judged like the latter, although it begins with a GET: no rule of browsers keeps a foreign
//!   page from opening one and reading what comes.
//! - Loopback is free of rate limits only for someone at the machine ([`Caller::is_local`]): a foreign page in
//!   a browser here, or a proxy that stands for other machines, is limited like any other address.

use super::message::Method;
use super::routes::Class;
use std::net::IpAddr;

/// What the rules are measured against.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Acceptable values of `Host`, in lower case, with port where it is not 80.
    hosts: Vec<String>,
    /// Configured foreign origins, `scheme://host[:port]`, in lower case.
    origins: Vec<String>,
    /// The bearer token; when empty no token opens anything.
    token: String,
}

/// What a request says of its sender.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The address of the socket, IPv4-mapped ones as IPv4.
    pub client: IpAddr,
    /// Whether a proxy's field came with it: `Forwarded`, `X-Forwarded-*`, `X-Real-IP` or `Via`.
    pub forwarded: bool,
    /// The `Host` field.
    pub host: Option<&'a str>,
    /// The `Origin` field.
    pub origin: Option<&'a str>,
    /// The `Sec-Fetch-Site` field.
    pub fetch_site: Option<&'a str>,
    /// The `Authorization` field.
    pub authorization: Option<&'a str>,
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Another machine, a proxy or a configured origin, without the token.
    #[error("this needs the bearer token of the node's token file")]
    TokenNeeded,
    /// A bearer token that is not ours.
    #[error("the bearer token is not the one of the node's token file")]
    TokenWrong,
    /// A `Host` that is not ours: perhaps a rebound name.
    #[error("the Host field must name this node with its port")]
    HostNotAllowed,
    /// A page of another origin.
    #[error("pages of other origins may not do this")]
    OriginNotAllowed,
}

impl Denied {
    /// The status of the answer: 401 where a token would help, else 403.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TokenNeeded | Self::TokenWrong => 401,
            Self::HostNotAllowed | Self::OriginNotAllowed => 403,
        }
    }

    /// The stable code of the answer.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TokenNeeded => "token-needed",
            Self::TokenWrong => "token-wrong",
            Self::HostNotAllowed => "host-not-allowed",
            Self::OriginNotAllowed => "origin-not-allowed",
        }
    }
}

impl Caller<'_> {
    /// Whether this is someone at the machine itself: no other machine, no proxy that stands for one, and no
    /// page of another origin that uses the browser here.
    #[must_use]
    pub fn is_local(&self, policy: &Policy) -> bool {
        let is_foreign_page =
            !site_is_ours(self) || self.origin.is_some_and(|origin| !policy.is_own_origin(origin));
        self.client.is_loopback() && !self.forwarded && !is_foreign_page
    }
}

impl Policy {
    /// The policy of a node that listens on `port`. `hosts` are further acceptable names, with or without a
    /// port (ours is meant); `origins` are pages elsewhere that may work with this node.
    #[must_use]
    pub fn new(port: u16, hosts: &[String], origins: &[String], token: &str) -> Self {
        let own = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let mut allowed = Vec::new();
        for name in own.iter().chain(hosts) {
            let name = name.to_ascii_lowercase();
            if has_port(&name) {
                allowed.push(name);
                continue;
            }
            allowed.push(format!("{name}:{port}"));
            if port == 80 {
                allowed.push(name);
            }
        }
        let origins = origins
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
            .collect();
        Self { hosts: allowed, origins, token: token.to_owned() }
    }

    /// Whether a caller may use a route of this class with this method.
    ///
    /// # Errors
    /// With the first rule that the caller breaks.
    pub fn admit(&self, class: Class, method: Method, caller: &Caller<'_>) -> Result<(), Denied> {
        match class {
            Class::Public if method.is_safe() => Ok(()),
            Class::Public => self.admit_public_change(caller),
            Class::Operator => match (self.admit_by_place(caller), bearer(caller)) {
                (Ok(()), _) => Ok(()),
                (Err(denied), None) => Err(denied),
                (Err(_), Some(token)) => self.admit_by_token(caller, token),
            },
        }
    }

    /// Whether a caller may open a WebSocket. Browsers send one anywhere and always say for which page,
    /// so it is judged like a public change: no page of a foreign origin.
    ///
    /// # Errors
    /// For a page of another origin.
    pub fn admit_socket(&self, caller: &Caller<'_>) -> Result<(), Denied> {
        self.admit_public_change(caller)
    }

    /// The CORS fields of an answer to a request with this `Origin`.
    #[must_use]
    pub fn cors(
        &self,
        class: Class,
        method: Method,
        origin: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        if class == Class::Public && method.is_safe() {
            return vec![("Access-Control-Allow-Origin", "*".to_owned())];
        }
        let mut fields = vec![("Vary", "Origin".to_owned())];
        if let Some(origin) = origin.filter(|origin| self.is_configured_origin(origin)) {
            fields.push(("Access-Control-Allow-Origin", origin.to_owned()));
        }
        fields
    }

    /// The CORS fields of the answer to an OPTIONS, where `wanted` is the method the page asks for and `routes`
    /// are class and method of the routes on the path.
    #[must_use]
    pub fn preflight(
        &self,
        routes: &[(Class, Method)],
        wanted: Method,
        origin: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let serves = |method| method == wanted || wanted == Method::Head && method == Method::Get;
        let Some((class, _)) = routes.iter().find(|(_, method)| serves(*method)) else {
            return Vec::new();
        };
        let mut fields = self.cors(*class, wanted, origin);
        if fields.iter().any(|(name, _)| *name == "Access-Control-Allow-Origin") {
            fields.push(("Access-Control-Allow-Methods", wanted.as_str().to_owned()));
            fields.push(("Access-Control-Allow-Headers", "authorization, content-type".to_owned()));
            fields.push(("Access-Control-Max-Age", "600".to_owned()));
        }
        fields
    }

    /// Same-origin is not enough here: a rebound name is same-origin with itself.
    fn admit_public_change(&self, caller: &Caller<'_>) -> Result<(), Denied> {
        match caller.origin {
            Some(origin) if self.is_configured_origin(origin) => Ok(()),
            Some(origin) if !self.is_own_origin(origin) => Err(Denied::OriginNotAllowed),
            _ if !site_is_ours(caller) => Err(Denied::OriginNotAllowed),
            _ => Ok(()),
        }
    }

    fn admit_by_place(&self, caller: &Caller<'_>) -> Result<(), Denied> {
        if !caller.client.is_loopback() || caller.forwarded {
            return Err(Denied::TokenNeeded);
        }
        if !caller.host.is_some_and(|host| self.is_own_host(host)) {
            return Err(Denied::HostNotAllowed);
        }
        match caller.origin {
            Some(origin) if self.is_configured_origin(origin) => return Err(Denied::TokenNeeded),
            Some(origin) if !self.is_own_origin(origin) => return Err(Denied::OriginNotAllowed),
            _ => {}
        }
        if site_is_ours(caller) { Ok(()) } else { Err(Denied::OriginNotAllowed) }
    }

    fn admit_by_token(&self, caller: &Caller<'_>, token: &str) -> Result<(), Denied> {
        if self.token.is_empty() || !equal_in_constant_time(token.as_bytes(), self.token.as_bytes())
        {
            return Err(Denied::TokenWrong);
        }
        match caller.origin {
            Some(origin) if self.is_configured_origin(origin) => Ok(()),
            Some(origin) if !is_same_origin(origin, caller.host) => Err(Denied::OriginNotAllowed),
            _ if !site_is_ours(caller) => Err(Denied::OriginNotAllowed),
            _ => Ok(()),
        }
    }

    fn is_own_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|host| self.is_own_host(host))
    }

    fn is_configured_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

/// Whether the page came from where it now sends to; the scheme may be a proxy's.
fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    matches!((page, host), (Some(page), Some(host)) if page.eq_ignore_ascii_case(host))
}

/// Whether `Sec-Fetch-Site` is one that our own page, or no page at all, leads to.
fn site_is_ours(caller: &Caller<'_>) -> bool {
    matches!(caller.fetch_site, None | Some("same-origin" | "none"))
}

/// Whether a host name carries a port; an IPv6 address stands in brackets.
fn has_port(name: &str) -> bool {
    name.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The token of `Authorization: Bearer <token>`.
fn bearer<'a>(caller: &Caller<'a>) -> Option<&'a str> {
    let (scheme, token) = caller.authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Compares without stopping at the first difference, so that time tells nothing of the token but its length.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    let differences =
        left.iter().zip(right).fold(0, |seen, (a, b)| std::hint::black_box(seen | (a ^ b)));
    left.len() == right.len() && differences == 0
}

/// The security fields of every answer. What is not a page may do nothing at all if a browser shows it.
#[must_use]
pub fn security_fields(content_type: &str) -> &'static [(&'static str, &'static str)] {
    if content_type.starts_with("text/html") { &PAGE } else { &DATA }
}

const PAGE: [(&str, &str); 6] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// The page's own parts and JSON: CORS reads are not touched by the resource policy, embedding is.
const DATA: [(&str, &str); 3] = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
