//! Object stores: a directory, and a real S3 server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Objects, ObjectsUrl, S3Options, SecretText};

/// An empty object store that is removed when this is dropped.
#[derive(Debug)]
pub struct TestObjects {
    /// Where it is, to open it again as another process would.
    pub url: ObjectsUrl,
    /// How to get into it.
    pub options: S3Options,
    /// `files` or `S3`, for messages.
    pub sort: &'static str,
    /// Open.
    pub objects: Objects,
    home: TempDir,
    server: Option<Server>,
}

impl TestObjects {
    fn new(
        url: ObjectsUrl,
        options: S3Options,
        sort: &'static str,
        home: TempDir,
        server: Option<Server>,
    ) -> Self {
        Self {
            objects: Objects::open(&url, &options, home.path().join("cache"))
                .expect("an empty store opens"),
            url,
            options,
            sort,
            home,
            server,
        }
    }

    /// The store as another process on another machine has it: with no copies yet.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn elsewhere(&self) -> (Objects, TempDir) {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let objects =
            Objects::open(&self.url, &self.options, home.path()).expect("the store opens again");
        (objects, home)
    }

    /// A directory that is removed with the store.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Asks the S3 server itself, past everything of ours: the answer's status and body. `None` where
    /// the store is a directory.
    pub fn raw(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        Some(request(self.server.as_ref()?.address, method, path, body))
    }
}

/// One empty store of each sort.
///
/// # Panics
/// When one cannot be made: a test cannot go on then.
pub async fn object_stores() -> Vec<TestObjects> {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let url = ObjectsUrl::directory(home.path().join("objects"));
    let mut all = vec![TestObjects::new(
        url,
        S3Options::default(),
        "files",
        home,
        None,
    )];
    let started = tokio::task::spawn_blocking(Server::start)
        .await
        .expect("starting a server does not panic");
    match started {
        Ok(server) => {
            let (status, _) = request(server.address, "PUT", "/packages-of-tests", b"");
            assert_eq!(status, 200, "the bucket can be made");
            let options = S3Options {
                endpoint: Some(format!("http://{}", server.address)),
                region: Some("us-east-1".to_owned()),
                access_key: Some("test".to_owned()),
                secret_key: Some(SecretText::new("test")),
                session_token: None,
                allow_http: true,
            };
            let url = "s3://packages-of-tests/some/prefix"
                .parse()
                .expect("an address");
            let home = tempfile::tempdir().expect("a temporary directory can be made");
            all.push(TestObjects::new(url, options, "S3", home, Some(server)));
        }
        #[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
        Err(reason) => eprintln!("skipped: S3, because {reason}"),
    }
    all
}

/// `moto`, which is S3 enough for multipart uploads and checksums.
#[derive(Debug)]
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Self, String> {
        let python = std::env::var("PLUGYARD_TEST_PYTHON")
            .map_err(|_| "PLUGYARD_TEST_PYTHON is not set".to_owned())?;
        #[expect(clippy::disallowed_methods, reason = "a server of tests, not a plugin")]
        let mut process = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{python} does not start: {error}"))?;
        let mut output = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut said = String::new();
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some((_, address)) = line.split_once("Running on http://") {
                let address = address.trim().parse().expect("it names where it listens");
                // It would stop at the first line that nobody reads.
                std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
                return Ok(Self { process, address });
            }
            said.push_str(&line);
            line.clear();
        }
        drop(process.wait());
        if said.contains("No module named") {
            return Err(format!("{python} has no `moto[server]`"));
        }
        panic!("the S3 server of the tests does not start: {said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// One request by hand: making buckets and looking past the store are not what its client is for.
fn request(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n",
        body.len()
    );
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("the server reads");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the server answers and closes");
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("an answer has a head");
    let status = std::str::from_utf8(&answer[..end])
        .ok()
        .and_then(|head| head.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .expect("an answer has a status");
    (status, answer.split_off(end + 4))
}
