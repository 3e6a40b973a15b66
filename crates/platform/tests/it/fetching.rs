//! Packages from addresses: fetched, pointed on, refused.

use std::net::SocketAddr;
use std::sync::Arc;

use plugyard_archive::build::Archive;
use plugyard_http::PageQuery;
use plugyard_model::{Problem, codes};
use plugyard_platform::{Intake, Settings, Source, TakeIn};
use plugyard_store::testing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::Bench;

/// A server that answers a path with raw bytes, one request on each connection.
struct Site {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Site {
    async fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        if socket.read_buf(&mut request).await.unwrap() == 0 {
                            return;
                        }
                    }
                    let request = String::from_utf8(request).unwrap();
                    let path = request.split(' ').nth(1).unwrap();
                    // A client that has enough hangs up.
                    let _ = socket.write_all(&answer(path)).await;
                });
            }
        });
        Self { address, serving }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn good_package() -> Vec<u8> {
    Archive::new()
        .file("fake.json", r#"{"name":"a","version":"1"}"#)
        .build()
}

async fn bench(allow_private_urls: bool) -> Bench {
    let test = testing::sqlite().await;
    Bench::with(test, |settings| Settings {
        allow_private_urls,
        package_limit: plugyard_model::ByteSize(1 << 20),
        ..settings
    })
    .await
}

async fn fetch(bench: &Bench, url: &str) -> Result<Intake, Problem> {
    bench
        .platform
        .take_in(Source::Url(url.to_owned()), TakeIn::default())
        .await
}

#[tokio::test]
async fn a_package_is_fetched_also_after_being_pointed_on() {
    let site = Site::new(|path| match path {
        "/a.zip" => ok(&good_package()),
        _ => redirect("/a.zip"),
    })
    .await;
    let bench = bench(true).await;
    let direct = fetch(&bench, &site.url("/a.zip")).await.unwrap();
    let pointed = fetch(&bench, &site.url("/latest")).await.unwrap();
    assert_eq!(direct.version.id, pointed.version.id);
}

#[tokio::test]
async fn addresses_inside_are_refused_also_by_name_and_in_other_dress() {
    let site = Site::new(|_| ok(&good_package())).await;
    let bench = bench(false).await;
    let port = site.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
    ] {
        let problem = fetch(&bench, &format!("http://{host}:{port}/a.zip"))
            .await
            .unwrap_err();
        assert_eq!(
            problem.code,
            codes::PACKAGE_URL_REFUSED,
            "{host}: {problem}"
        );
    }
    for url in ["file:///etc/passwd", "ftp://1.1.1.1/a"] {
        let problem = fetch(&bench, url).await.unwrap_err();
        assert_eq!(problem.code, codes::PACKAGE_URL_REFUSED, "{url}: {problem}");
    }
}

#[tokio::test]
async fn a_site_that_points_in_circles_or_fails_is_told_from_others() {
    let site = Site::new(|path| match path {
        "/circle" => redirect("/circle"),
        "/file" => redirect("file:///etc/passwd"),
        "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort".to_vec(),
        "/large" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec(),
        "/endless" => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![0; 2 << 20]].concat(),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    })
    .await;
    let bench = bench(true).await;
    for (path, code) in [
        ("/circle", codes::PACKAGE_FETCH_FAILED),
        ("/file", codes::PACKAGE_URL_REFUSED),
        ("/cut", codes::PACKAGE_FETCH_FAILED),
        ("/large", codes::PACKAGE_TOO_LARGE),
        ("/endless", codes::PACKAGE_TOO_LARGE),
        ("/none", codes::PACKAGE_FETCH_FAILED),
    ] {
        let problem = fetch(&bench, &site.url(path)).await.unwrap_err();
        assert_eq!(problem.code, code, "{path}: {problem}");
    }
    let left = std::fs::read_dir(bench.home.path().join("staging"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_password_in_an_address_is_not_repeated() {
    let bench = bench(false).await;
    let url = "http://me:hunter2@127.0.0.1/a.zip?token=hunter3";
    let problem = fetch(&bench, url).await.unwrap_err();
    assert!(!format!("{problem:?}").contains("hunter"));
    assert!(!format!("{:?}", Source::Url(url.to_owned())).contains("hunter"));
}

#[tokio::test]
async fn hostile_archives_are_refused_the_same_from_wherever_they_come() {
    let name = |name: &str| {
        Archive::new()
            .file("fake.json", "{}")
            .file(name, "x")
            .build()
    };
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("archive_not_zip", b"<html>".repeat(9)),
        ("archive_damaged", good_package()[..60].to_vec()),
        (
            "archive_trailing_data",
            [good_package(), b"tail".to_vec()].concat(),
        ),
        (
            "archive_prefix_data",
            [b"head".to_vec(), good_package()].concat(),
        ),
        ("archive_name_traversal", name("../evil")),
        ("archive_name_absolute", name("/etc/passwd")),
        ("archive_name_backslash", name("a\\b")),
        ("archive_duplicate", name("fake.json")),
    ];
    let served = archives.clone();
    let site = Site::new(move |path| {
        let index: usize = path.trim_start_matches('/').parse().unwrap();
        ok(&served[index].1)
    })
    .await;
    let bench = bench(true).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    for (index, (code, bytes)) in archives.into_iter().enumerate() {
        std::fs::write(file.path(), &bytes).unwrap();
        let mut answers = Vec::new();
        for source in [
            Source::Url(site.url(&format!("/{index}"))),
            Source::Path(file.path().to_owned()),
            Source::Stream(Box::pin(std::io::Cursor::new(bytes))),
        ] {
            let problem = bench.platform.take_in(source, TakeIn::default()).await;
            answers.push(problem.unwrap_err());
        }
        let found: Vec<_> = answers[0]
            .findings
            .iter()
            .map(|it| it.code.as_str())
            .collect();
        assert!(found.contains(&code), "{code} is not among {found:?}");
        assert_eq!(answers[0].findings, answers[1].findings, "{code}");
        assert_eq!(answers[1].findings, answers[2].findings, "{code}");
    }
    assert!(
        bench
            .platform
            .plugins(&PageQuery::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let kept = std::fs::read_dir(bench.home.path().join("objects/packages"));
    assert_eq!(kept.map_or(0, Iterator::count), 0);
}
