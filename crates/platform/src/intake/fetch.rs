//! Fetching a package from an address.

use std::error::Error;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures::stream::Stream;
use plugyard_model::{Problem, codes};
use reqwest::header::LOCATION;
use reqwest::{Client, Response, Url, redirect};
use tokio::time::timeout;

use super::guard::{Guard, Refused, is_public};
use crate::Settings;

/// How often an address may point to another one.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

/// Begins to fetch: the body of the first answer that is no redirect.
pub(super) async fn fetch(
    address: &str,
    settings: &Settings,
) -> Result<impl Stream<Item = reqwest::Result<bytes::Bytes>> + Send + use<>, Problem> {
    let client =
        client(settings.allow_private_urls).map_err(|error| failed(address, reason(&error)))?;
    let mut url = Url::parse(address).map_err(|error| failed(address, error))?;
    for _ in 0..=REDIRECTS {
        check(&url, settings.allow_private_urls)?;
        let answer = client
            .get(url.clone())
            .send()
            .await
            .map_err(|error| problem(&url, &error))?;
        let status = answer.status();
        if status.is_redirection() {
            url = target(&url, &answer).ok_or_else(|| failed(&url, "it points nowhere"))?;
            continue;
        }
        if !status.is_success() {
            return Err(failed(&url, format!("the answer is {status}")));
        }
        let limit = settings.package_limit;
        if answer
            .content_length()
            .is_some_and(|length| length > limit.0)
        {
            return Err(Problem::new(codes::PACKAGE_TOO_LARGE).with("limit", limit));
        }
        return Ok(answer.bytes_stream());
    }
    Err(failed(
        &url,
        format!("it points on more than {REDIRECTS} times"),
    ))
}

/// A client for an address that a package or a user wrote, and the address, checked. Unless
/// `allow_private`, it reaches nothing in the server's own network, whatever the name resolves to. It
/// follows no redirects; how long a whole call may take is the caller's to say.
///
/// # Errors
/// `package_url_refused`, `package_fetch_failed`.
pub fn outbound(address: &str, allow_private: bool) -> Result<(Client, Url), Problem> {
    let url = Url::parse(address).map_err(|error| failed(address, error))?;
    check(&url, allow_private)?;
    let client = client(allow_private).map_err(|error| failed(address, reason(&error)))?;
    Ok((client, url))
}

/// How long the system's resolver may take to know a name that a proxy will resolve. One that nobody here
/// answers for can take it many seconds.
const KNOWN: Duration = Duration::from_secs(1);

/// The same through an HTTP proxy, which a user of this server chose and which may be anywhere. The proxy
/// resolves names, so here a name is refused only when it is known to lead inside.
///
/// # Errors
/// Also `package_fetch_failed` for a proxy that is no address.
pub async fn outbound_through(
    address: &str,
    allow_private: bool,
    proxy: &str,
) -> Result<(Client, Url), Problem> {
    let url = Url::parse(address).map_err(|error| failed(address, error))?;
    check(&url, allow_private)?;
    if !allow_private
        && let Some(host) = url.host_str()
        && let Ok(Ok(mut found)) = timeout(KNOWN, tokio::net::lookup_host((host, 0))).await
        && let Some(inside) = found.find(|it| !is_public(it.ip()))
    {
        let error = Refused {
            host: host.to_owned(),
            address: inside.ip(),
        };
        return Err(inside_of(&url, &error));
    }
    let unusable = |error: reqwest::Error| failed("proxy", reason(&error));
    let proxy = reqwest::Proxy::all(proxy).map_err(unusable)?;
    let client = builder().proxy(proxy).build().map_err(unusable)?;
    Ok((client, url))
}

/// Whether a call failed because the address lies in the server's own network.
pub fn leads_inside(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<Refused>().is_some() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The problem of an address that cannot be fetched. What could be a secret is left out of it.
pub(super) fn failed(address: impl ToString, reason: impl ToString) -> Problem {
    Problem::new(codes::PACKAGE_FETCH_FAILED)
        .with("uri", shown(&address.to_string()))
        .with("reason", reason)
}

fn client(allow_private: bool) -> reqwest::Result<Client> {
    let builder = builder().no_proxy();
    if allow_private {
        builder.build()
    } else {
        builder.dns_resolver(Arc::new(Guard)).build()
    }
}

fn builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Somebody else may have installed one; there is only one to choose from.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .user_agent(concat!("plugyard/", env!("CARGO_PKG_VERSION")))
}

/// What the resolver does not see: the scheme, and addresses written as numbers.
fn check(url: &Url, allow_private: bool) -> Result<(), Problem> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused(url, "only `http` and `https` are fetched"));
    }
    let Some(host) = url.host_str() else {
        return Err(refused(url, "it names no host"));
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if !allow_private
        && let Ok(address) = bare.parse()
        && !is_public(address)
    {
        let error = Refused {
            host: host.to_owned(),
            address,
        };
        return Err(inside_of(url, &error));
    }
    Ok(())
}

/// Where a redirect leads. An address never goes from `https` to `http`.
fn target(from: &Url, answer: &Response) -> Option<Url> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let target = from.join(location).ok()?;
    (from.scheme() != "https" || target.scheme() == "https").then_some(target)
}

fn problem(url: &Url, error: &reqwest::Error) -> Problem {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(guarded) = error.downcast_ref::<Refused>() {
            return inside_of(url, guarded);
        }
        cause = error.source();
    }
    failed(url, reason(error))
}

/// The problem of an address that leads into the server's own network, with where it leads.
fn inside_of(url: &Url, error: &Refused) -> Problem {
    refused(url, error).with("address", error.address)
}

fn refused(url: &Url, reason: impl ToString) -> Problem {
    Problem::new(codes::PACKAGE_URL_REFUSED)
        .with("uri", shown(url.as_str()))
        .with("reason", reason)
}

/// The innermost cause: what a user can do something about.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// An address without user, password and query, where secrets stand.
fn shown(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) => {
            // Both fail only for addresses that have no host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => address.chars().take(64).collect(),
    }
}
