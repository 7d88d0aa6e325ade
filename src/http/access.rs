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
//! - A foreign page that only reads from a loopback browser is rate-limited like any other address
//!   ([`Caller::is_foreign_page`]).

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
    /// Whether a browser says that a page of another site sent this, so that loopback means nothing.
    #[must_use]
    pub fn is_foreign_page(&self, policy: &Policy) -> bool {
        !site_is_ours(self) || self.origin.is_some_and(|origin| !policy.is_own_origin(origin))
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
mod tests {
    use super::{Caller, Class, Denied, Method, Policy, equal_in_constant_time, security_fields};

    const TOKEN: &str = "0123456789abcdef";
    const GOOD: Option<&str> = Some("Bearer 0123456789abcdef");
    const WALLET_SITE: Option<&str> = Some("https://wallet.example");

    fn policy() -> Policy {
        let hosts = ["node.lan".to_owned(), "proxy.lan:8080".to_owned()];
        Policy::new(5000, &hosts, &["https://wallet.example/".to_owned()], TOKEN)
    }

    fn local() -> Caller<'static> {
        Caller {
            client: [127, 0, 0, 1].into(),
            forwarded: false,
            host: Some("127.0.0.1:5000"),
            origin: None,
            fetch_site: None,
            authorization: None,
        }
    }

    fn remote() -> Caller<'static> {
        Caller { client: [192, 168, 1, 7].into(), host: Some("192.168.1.2:5000"), ..local() }
    }

    fn check(class: Class, method: Method, caller: Caller<'_>, expected: Result<(), Denied>) {
        assert_eq!(
            policy().admit(class, method, &caller),
            expected,
            "{class:?} {method:?} {caller:?}"
        );
    }

    fn check_operator(caller: Caller<'_>, expected: Result<(), Denied>) {
        for method in [Method::Get, Method::Head, Method::Post, Method::Delete] {
            check(Class::Operator, method, caller, expected);
        }
    }

    #[test]
    fn the_operator_needs_loopback_or_the_token() {
        check_operator(local(), Ok(()));
        check_operator(
            Caller { client: "::1".parse().unwrap(), host: Some("[::1]:5000"), ..local() },
            Ok(()),
        );
        check_operator(Caller { client: [127, 9, 9, 9].into(), ..local() }, Ok(()));
        check_operator(remote(), Err(Denied::TokenNeeded));
        check_operator(
            Caller { host: Some("127.0.0.1:5000"), ..remote() },
            Err(Denied::TokenNeeded),
        );
        check_operator(Caller { forwarded: true, ..local() }, Err(Denied::TokenNeeded));
        check_operator(Caller { authorization: GOOD, ..remote() }, Ok(()));
        check_operator(Caller { authorization: GOOD, forwarded: true, ..local() }, Ok(()));
        check_operator(
            Caller { authorization: Some("bearer 0123456789abcdef"), ..remote() },
            Ok(()),
        );
        // A wrong token opens nothing, and closes nothing that is open by place.
        check_operator(Caller { authorization: Some("Bearer old"), ..local() }, Ok(()));
        for wrong in [
            "Bearer 0123456789abcdeX",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef ",
            "Bearer ",
        ] {
            check_operator(
                Caller { authorization: Some(wrong), ..remote() },
                Err(Denied::TokenWrong),
            );
        }
        for other in ["Basic 0123456789abcdef", "0123456789abcdef", "Bearer"] {
            check_operator(
                Caller { authorization: Some(other), ..remote() },
                Err(Denied::TokenNeeded),
            );
        }
    }

    #[test]
    fn the_operator_needs_one_of_our_hosts_on_loopback() {
        for host in
            ["localhost:5000", "LOCALHOST:5000", "node.lan:5000", "proxy.lan:8080", "[::1]:5000"]
        {
            check_operator(Caller { host: Some(host), ..local() }, Ok(()));
        }
        let foreign = [
            "evil.com",
            "evil.com:5000",
            "127.0.0.1.evil.com:5000",
            "127.0.0.1:5001",
            "127.0.0.1",
            "localhost",
            "localhost.:5000",
            "0.0.0.0:5000",
            "node.lan",
            "proxy.lan:5000",
            "::1:5000",
            "",
        ];
        for host in foreign {
            check_operator(Caller { host: Some(host), ..local() }, Err(Denied::HostNotAllowed));
        }
        check_operator(Caller { host: None, ..local() }, Err(Denied::HostNotAllowed));
    }

    #[test]
    fn pages_of_other_origins_cannot_act_as_the_operator() {
        for origin in [
            "http://127.0.0.1:5000",
            "http://localhost:5000",
            "http://[::1]:5000",
            "http://node.lan:5000",
        ] {
            check_operator(Caller { origin: Some(origin), ..local() }, Ok(()));
        }
        for origin in [
            "http://evil.com",
            "null",
            "",
            "https://127.0.0.1:5000",
            "http://127.0.0.1:3000",
            "file://",
        ] {
            check_operator(
                Caller { origin: Some(origin), ..local() },
                Err(Denied::OriginNotAllowed),
            );
            let with_token = Caller { origin: Some(origin), authorization: GOOD, ..remote() };
            check_operator(with_token, Err(Denied::OriginNotAllowed));
        }
        for site in ["same-origin", "none"] {
            check_operator(Caller { fetch_site: Some(site), ..local() }, Ok(()));
        }
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            check_operator(
                Caller { fetch_site: Some(site), ..local() },
                Err(Denied::OriginNotAllowed),
            );
        }
    }

    #[test]
    fn a_configured_origin_and_the_page_on_another_machine_need_the_token() {
        check_operator(Caller { origin: WALLET_SITE, ..local() }, Err(Denied::TokenNeeded));
        let configured = Caller { origin: WALLET_SITE, fetch_site: Some("cross-site"), ..local() };
        check_operator(configured, Err(Denied::TokenNeeded));
        check_operator(Caller { authorization: GOOD, ..configured }, Ok(()));
        check_operator(
            Caller { authorization: Some("Bearer x"), ..configured },
            Err(Denied::TokenWrong),
        );
        let page = Caller {
            origin: Some("http://192.168.1.2:5000"),
            fetch_site: Some("same-origin"),
            ..remote()
        };
        check_operator(page, Err(Denied::TokenNeeded));
        check_operator(Caller { authorization: GOOD, ..page }, Ok(()));
    }

    #[test]
    fn a_rebound_name_cannot_change_anything() {
        let origin = Some("http://evil.com:5000");
        let page = Caller {
            host: Some("evil.com:5000"),
            origin,
            fetch_site: Some("same-origin"),
            ..local()
        };
        check(Class::Public, Method::Post, page, Err(Denied::OriginNotAllowed));
        check_operator(page, Err(Denied::HostNotAllowed));
    }

    #[test]
    fn without_a_configured_token_none_opens() {
        let policy = Policy::new(5000, &[], &[], "");
        let caller = Caller { authorization: Some("Bearer "), ..remote() };
        assert_eq!(policy.admit(Class::Operator, Method::Get, &caller), Err(Denied::TokenWrong));
    }

    #[test]
    fn public_reads_are_open_and_public_changes_refuse_foreign_pages() {
        let everyone = [
            local(),
            remote(),
            Caller { host: Some("evil.com"), origin: Some("http://evil.com"), ..local() },
            Caller {
                origin: Some("null"),
                fetch_site: Some("cross-site"),
                forwarded: true,
                ..remote()
            },
        ];
        for caller in everyone {
            check(Class::Public, Method::Get, caller, Ok(()));
            check(Class::Public, Method::Head, caller, Ok(()));
        }
        check(Class::Public, Method::Post, local(), Ok(()));
        check(Class::Public, Method::Post, remote(), Ok(()));
        check(Class::Public, Method::Post, Caller { forwarded: true, ..remote() }, Ok(()));
        check(Class::Public, Method::Post, Caller { origin: WALLET_SITE, ..local() }, Ok(()));
        check(
            Class::Public,
            Method::Post,
            Caller { origin: Some("http://127.0.0.1:5000"), ..local() },
            Ok(()),
        );
        for origin in ["http://evil.com", "null", "http://localhost:3000"] {
            let caller = Caller { origin: Some(origin), ..local() };
            check(Class::Public, Method::Post, caller, Err(Denied::OriginNotAllowed));
        }
        let no_origin = Caller { fetch_site: Some("cross-site"), ..local() };
        check(Class::Public, Method::Post, no_origin, Err(Denied::OriginNotAllowed));
    }

    /// Checks the CORS fields of answer and preflight: the origin that is allowed, if any.
    fn check_cors(class: Class, method: Method, origin: Option<&str>, expected: Option<&str>) {
        let allowed = |fields: Vec<(&str, String)>| {
            fields
                .into_iter()
                .find(|(name, _)| *name == "Access-Control-Allow-Origin")
                .map(|(_, value)| value)
        };
        let policy = policy();
        assert_eq!(
            allowed(policy.cors(class, method, origin)).as_deref(),
            expected,
            "{class:?} {method:?} {origin:?}"
        );
        let routes = [(Class::Operator, Method::Put), (class, method)];
        assert_eq!(allowed(policy.preflight(&routes, method, origin)).as_deref(), expected);
    }

    #[test]
    fn cors_is_a_star_on_public_reads_and_configured_origins_elsewhere() {
        for origin in [None, Some("http://evil.com"), Some("null"), WALLET_SITE] {
            check_cors(Class::Public, Method::Get, origin, Some("*"));
        }
        for (class, method) in [
            (Class::Public, Method::Post),
            (Class::Operator, Method::Get),
            (Class::Operator, Method::Post),
        ] {
            check_cors(class, method, WALLET_SITE, WALLET_SITE);
            for origin in
                [None, Some("http://evil.com"), Some("null"), Some("http://127.0.0.1:5000")]
            {
                check_cors(class, method, origin, None);
            }
        }
        assert!(
            policy()
                .preflight(&[(Class::Public, Method::Get)], Method::Post, WALLET_SITE)
                .is_empty()
        );
    }

    #[test]
    fn only_a_foreign_page_counts_as_one() {
        let policy = policy();
        for (caller, expected) in [
            (local(), false),
            (Caller { origin: Some("http://localhost:5000"), ..local() }, false),
            (Caller { origin: Some("http://evil.com"), ..local() }, true),
            (Caller { fetch_site: Some("cross-site"), ..local() }, true),
        ] {
            assert_eq!(caller.is_foreign_page(&policy), expected, "{caller:?}");
        }
    }

    #[test]
    fn tokens_are_equal_only_when_every_byte_is() {
        for (left, right, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            assert_eq!(
                equal_in_constant_time(left.as_bytes(), right.as_bytes()),
                expected,
                "{left} {right}"
            );
        }
    }

    #[test]
    fn a_page_gets_the_strict_policy_and_every_answer_nosniff() {
        let value = |kind: &str, name: &str| {
            security_fields(kind).iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        let page = value("text/html; charset=utf-8", "Content-Security-Policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("unsafe"));
        assert_eq!(value("text/html", "X-Frame-Options"), Some("DENY"));
        for kind in ["text/html", "application/json", "text/javascript"] {
            assert_eq!(value(kind, "X-Content-Type-Options"), Some("nosniff"));
        }
    }
}
