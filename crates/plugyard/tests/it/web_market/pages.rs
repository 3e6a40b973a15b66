//! A small HTTP server that answers as a test says: a market that lies, or the application that plugins are
//! of.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is asked.
pub(crate) struct Asked {
    /// Path with query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Asked {
    /// A parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://x{}", self.path)).ok()?;
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    }
}

/// What is answered.
pub(crate) enum Answer {
    Body(u16, Vec<u8>),
    Redirect(String),
    /// A length that is announced, and the bytes that come before the connection ends.
    Broken(usize, Vec<u8>),
    /// The rest of a body, from a byte on.
    Part(usize, Vec<u8>),
    /// Status, headers, the announced length, and the bytes that come before the connection ends.
    Full(u16, Vec<(&'static str, String)>, usize, Vec<u8>),
    /// A body that comes byte by byte and never ends, until the server does.
    Drip,
    /// Nothing, until the server ends.
    Silence,
}

pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer::Body(200, body.into())
}

type Say = dyn Fn(&Asked) -> Answer + Send + Sync;

/// The server; ends when dropped.
pub(crate) struct Pages {
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Pages {
    pub(crate) fn new(say: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ended = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let say: Arc<Say> = Arc::new(say);
        let (over, log) = (Arc::clone(&ended), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let (say, over, log) = (Arc::clone(&say), Arc::clone(&over), Arc::clone(&log));
                thread::spawn(move || {
                    // A client that goes away is no concern of the test.
                    let _ = answer(&stream, &*say, &over, &log);
                });
            }
        });
        Self {
            address,
            ended,
            asked,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far to paths that begin so.
    pub(crate) fn asked<T>(&self, prefix: &str, look: impl Fn(&Asked) -> T) -> Vec<T> {
        let asked = self.asked.lock().expect("no panic");
        asked
            .iter()
            .filter(|it| it.path.starts_with(prefix))
            .map(look)
            .collect()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(
    stream: &TcpStream,
    say: &Say,
    over: &AtomicBool,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let asked = Asked { path, headers };
    let said = say(&asked);
    log.lock().expect("no panic").push(asked);
    let mut stream = stream;
    let mut head = |status: &str, length: usize, more: &str| {
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n"
        )
    };
    match said {
        Answer::Body(status, body) => {
            head(&format!("{status} X"), body.len(), "")?;
            (&mut &*stream).write_all(&body)
        }
        Answer::Redirect(to) => head("302 Found", 0, &format!("location: {to}\r\n")),
        Answer::Broken(length, body) => {
            head("200 OK", length, "")?;
            (&mut &*stream).write_all(&body)
        }
        Answer::Part(from, body) => {
            let range = format!(
                "content-range: bytes {from}-{}/{}\r\n",
                from + body.len() - 1,
                from + body.len()
            );
            head("206 Partial Content", body.len(), &range)?;
            (&mut &*stream).write_all(&body)
        }
        Answer::Full(status, headers, length, body) => {
            let lines = headers.iter().fold(String::new(), |lines, (name, value)| {
                lines + name + ": " + value + "\r\n"
            });
            head(&format!("{status} X"), length, &lines)?;
            (&mut &*stream).write_all(&body)
        }
        Answer::Drip => {
            head("200 OK", 1 << 20, "")?;
            while !over.load(Ordering::SeqCst) {
                (&mut &*stream).write_all(b" ")?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Answer::Silence => {
            while !over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}
