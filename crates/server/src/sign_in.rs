//! Who is asking: tokens, the local socket, and servers without sign-in.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use plugyard_http::sse::Closing;
use plugyard_http::{Envelope, Principal};
use plugyard_model::rights::{Right, Role};
use plugyard_model::{Problem, TokenId, codes};
use plugyard_platform::SignedIn;
use tokio::time::Instant;

use crate::app::App;
use crate::audit_log::{record_failed_sign_in, record_refused_plugin};
use crate::peer::Peer;
use crate::settings::Auth;

/// Longest value of `Authorization` that is looked at, in bytes.
const MAX_CREDENTIALS: usize = 1024;

/// Rides on the response: under which name the request was let in, for the log.
#[derive(Debug, Clone)]
pub(crate) struct LetIn(pub(crate) String);

/// The token that a request came with, for signing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown(pub(crate) TokenId);

/// Who asks, and what they showed for it.
struct Visitor {
    principal: Principal,
    session: Option<SignedIn>,
}

impl From<Principal> for Visitor {
    fn from(principal: Principal) -> Self {
        Self {
            principal,
            session: None,
        }
    }
}

/// Puts the [`Principal`] into the request, or leaves it anonymous, or refuses it; and says when what the request
/// holds open has to end. Also gives the name under which it was let in.
///
/// Whether an anonymous request may pass is the right's business, not decided here.
pub(crate) async fn sign_in(
    app: &App,
    request: Request,
) -> Result<(Request, Option<String>), Problem> {
    // Only this says who asks.
    let (mut head, body) = request.into_parts();
    head.extensions.remove::<Principal>();
    head.extensions.remove::<Shown>();
    let visitor = who(app, &head).await?;
    let mut closing = Closing::new(app.closing.clone());
    let mut name = None;
    if let Some(Visitor { principal, session }) = visitor {
        if let Some(session) = session {
            let until = session.expires_in.map(|left| Instant::now() + left);
            closing = closing.with_session(session.ended, until);
            head.extensions.insert(Shown(session.token));
        }
        name = Some(principal.name.clone());
        head.extensions.insert(principal);
    }
    head.extensions.insert(closing);
    Ok((Request::from_parts(head, body), name))
}

async fn who(app: &App, request: &Parts) -> Result<Option<Visitor>, Problem> {
    let peer = request.extensions.get::<Peer>().copied();
    if let Some(Peer::Unix {
        is_plugin: true, ..
    }) = peer
    {
        return refuse_plugin(app, "socket", request).await;
    }
    let local = matches!(peer, Some(Peer::Unix { .. }));
    let open = app.settings.auth == Auth::None && !local;
    if open && let Err(problem) = check_origin(&request.method, &request.headers) {
        if is_for_everybody(app, request) {
            return Ok(None);
        }
        return Err(problem);
    }
    let envelope = app.rights.envelope_at(request.uri.path());
    if let Some(token) = token(&request.headers, envelope)? {
        let known = app.platform.sign_in(token).await?;
        // Without sign-in a token only ever narrows: a plugin's own stays a plugin's.
        return match known {
            Some(session) => Ok(Some(Visitor {
                principal: session.principal.clone(),
                session: Some(session),
            })),
            None if open => without_sign_in(app, peer, request).await,
            None => {
                record_failed_sign_in(app, &from(peer), request).await;
                Err(Problem::new(codes::NOT_SIGNED_IN))
            }
        };
    }
    match peer {
        Some(Peer::Unix {
            same_user: true, ..
        }) => Ok(Some(owner("local").into())),
        _ if open => without_sign_in(app, peer, request).await,
        _ => Ok(None),
    }
}

/// Whether pages of other origins may read this, as nobody: what is public under a name of this machine, such as
/// the script that plugin pages load. A browser gives it to them only where the answer says so.
fn is_for_everybody(app: &App, request: &Parts) -> bool {
    let entry = app.rights.lookup(&request.method, request.uri.path());
    let host = request.headers.get(header::HOST);
    request.method.is_safe()
        && entry.is_some_and(|entry| entry.right == Right::Public)
        && host.is_some_and(|host| is_loopback_host(host.to_str().unwrap_or("?")))
}

/// `--auth none`: everybody on this machine is the owner, except plugins.
async fn without_sign_in(
    app: &App,
    peer: Option<Peer>,
    request: &Parts,
) -> Result<Option<Visitor>, Problem> {
    match peer {
        Some(Peer::Tcp {
            may_be_plugin: false,
            ..
        }) => Ok(Some(owner("anonymous").into())),
        _ => refuse_plugin(app, "tcp", request).await,
    }
}

async fn refuse_plugin(
    app: &App,
    listener: &str,
    request: &Parts,
) -> Result<Option<Visitor>, Problem> {
    record_refused_plugin(app, listener, request).await;
    Err(Problem::new(codes::PLUGIN_REFUSED))
}

/// Where somebody came from, for the log.
fn from(peer: Option<Peer>) -> String {
    match peer {
        Some(Peer::Tcp { remote, .. }) => remote.ip().to_canonical().to_string(),
        Some(Peer::Unix { .. }) => "the socket".to_owned(),
        None => "nowhere".to_owned(),
    }
}

fn owner(name: &str) -> Principal {
    Principal {
        name: name.to_owned(),
        roles: vec![Role::Owner],
    }
}

/// The token of `Authorization: Bearer …`, on eKuiper-compatible routes also without the scheme.
fn token(headers: &HeaderMap, envelope: Envelope) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let unreadable = || Problem::new(codes::NOT_SIGNED_IN);
    let value = value.to_str().map_err(|_| unreadable())?.trim();
    if value.len() > MAX_CREDENTIALS {
        return Err(unreadable());
    }
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        None if envelope == Envelope::Ekuiper && !value.is_empty() => Ok(Some(value)),
        _ => Err(unreadable()),
    }
}

/// Against pages of other sites in a browser of this machine, also ones whose name was made to
/// point here (DNS rebinding): `Host` must name this machine, and `Origin`, when there is one, must
/// be the page's own.
fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let refuse = |origin: &str| {
        let origin: String = origin.chars().take(256).collect();
        Err(Problem::new(codes::ORIGIN_REFUSED).with("origin", origin))
    };
    let host = text(header::HOST).unwrap_or("");
    if !is_loopback_host(host) {
        return refuse(host);
    }
    if let Some(origin) = text(header::ORIGIN)
        && !origin.eq_ignore_ascii_case(&format!("http://{host}"))
    {
        return refuse(origin);
    }
    // A browser that leaves `Origin` out still says where a request comes from. Following a link
    // from elsewhere to a page of ours is fine.
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site @ ("cross-site" | "same-site")) if !method.is_safe() => refuse(site),
        _ => Ok(()),
    }
}

/// `localhost`, `127.0.0.1:9081`, `[::1]`; no other name, whatever it resolves to.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for host in [
            "localhost",
            "LOCALHOST:9081",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:9081",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org",
            "10.0.0.1:9081",
            "x.localhost",
            "127.0.0.1.nip.io:9081",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let check = |method: Method, pairs: &[(&'static str, &str)]| {
            check_origin(&method, &headers(pairs)).is_ok()
        };
        let host = ("host", "localhost:9081");
        assert!(check(Method::POST, &[host]));
        assert!(check(
            Method::POST,
            &[host, ("origin", "http://localhost:9081")]
        ));
        assert!(!check(Method::POST, &[]));
        assert!(!check(Method::GET, &[("host", "evil.example:9081")]));
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:8080",
            "https://localhost:9081",
            "http://x.plugins.localhost:9081",
        ] {
            assert!(!check(Method::GET, &[host, ("origin", origin)]), "{origin}");
        }
        assert!(!check(
            Method::POST,
            &[host, ("sec-fetch-site", "cross-site")]
        ));
        assert!(check(
            Method::GET,
            &[host, ("sec-fetch-site", "cross-site")]
        ));
    }

    #[test]
    fn tokens_come_as_bearer_and_on_compatible_routes_bare() {
        let of = |value: &str, envelope| {
            token(&headers(&[("authorization", value)]), envelope)
                .map(|token| token.map(str::to_owned))
                .map_err(|problem| problem.code)
        };
        assert_eq!(of("Bearer abc", Envelope::Native), Ok(Some("abc".into())));
        assert_eq!(of("bearer abc", Envelope::Ekuiper), Ok(Some("abc".into())));
        assert_eq!(of("abc", Envelope::Ekuiper), Ok(Some("abc".into())));
        assert_eq!(of("abc", Envelope::Native), Err(codes::NOT_SIGNED_IN));
        assert_eq!(
            of("Basic abc", Envelope::Ekuiper),
            Err(codes::NOT_SIGNED_IN)
        );
        let long = "x".repeat(MAX_CREDENTIALS + 1);
        assert_eq!(of(&long, Envelope::Ekuiper), Err(codes::NOT_SIGNED_IN));
    }
}
