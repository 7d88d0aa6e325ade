//! The whole matrix of callers and classes.

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
    assert_eq!(policy().admit(class, method, &caller), expected, "{class:?} {method:?} {caller:?}");
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
    check_operator(Caller { host: Some("127.0.0.1:5000"), ..remote() }, Err(Denied::TokenNeeded));
    check_operator(Caller { forwarded: true, ..local() }, Err(Denied::TokenNeeded));
    check_operator(Caller { authorization: GOOD, ..remote() }, Ok(()));
    check_operator(Caller { authorization: GOOD, forwarded: true, ..local() }, Ok(()));
    check_operator(Caller { authorization: Some("bearer 0123456789abcdef"), ..remote() }, Ok(()));
    // A wrong token opens nothing, and closes nothing that is open by place.
    check_operator(Caller { authorization: Some("Bearer old"), ..local() }, Ok(()));
    for wrong in
        ["Bearer 0123456789abcdeX", "Bearer 0123456789abcde", "Bearer 0123456789abcdef ", "Bearer "]
    {
        check_operator(Caller { authorization: Some(wrong), ..remote() }, Err(Denied::TokenWrong));
    }
    for other in ["Basic 0123456789abcdef", "0123456789abcdef", "Bearer"] {
        check_operator(Caller { authorization: Some(other), ..remote() }, Err(Denied::TokenNeeded));
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
        check_operator(Caller { origin: Some(origin), ..local() }, Err(Denied::OriginNotAllowed));
        let with_token = Caller { origin: Some(origin), authorization: GOOD, ..remote() };
        check_operator(with_token, Err(Denied::OriginNotAllowed));
    }
    for site in ["same-origin", "none"] {
        check_operator(Caller { fetch_site: Some(site), ..local() }, Ok(()));
    }
    for site in ["cross-site", "same-site", "", "Same-Origin"] {
        check_operator(Caller { fetch_site: Some(site), ..local() }, Err(Denied::OriginNotAllowed));
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
    let page =
        Caller { host: Some("evil.com:5000"), origin, fetch_site: Some("same-origin"), ..local() };
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
        for origin in [None, Some("http://evil.com"), Some("null"), Some("http://127.0.0.1:5000")] {
            check_cors(class, method, origin, None);
        }
    }
    assert!(
        policy().preflight(&[(Class::Public, Method::Get)], Method::Post, WALLET_SITE).is_empty()
    );
}

#[test]
fn someone_at_the_machine_is_told_from_pages_proxies_and_others() {
    let policy = policy();
    for (caller, expected) in [
        (local(), true),
        (
            Caller {
                origin: Some("http://localhost:5000"),
                fetch_site: Some("same-origin"),
                ..local()
            },
            true,
        ),
        (Caller { origin: Some("http://evil.com"), ..local() }, false),
        (Caller { fetch_site: Some("cross-site"), ..local() }, false),
        (Caller { forwarded: true, ..local() }, false),
        (remote(), false),
    ] {
        assert_eq!(caller.is_local(&policy), expected, "{caller:?}");
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
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("unsafe"));
    assert_eq!(value("text/html", "X-Frame-Options"), Some("DENY"));
    for kind in ["text/html", "application/json", "text/javascript"] {
        assert_eq!(value(kind, "X-Content-Type-Options"), Some("nosniff"));
    }
}
