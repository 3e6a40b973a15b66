//! Somebody who takes posts: what a webhook, or the application, is to the server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value as Json;

use crate::support::PATIENCE;

/// A post that came.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Post {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).expect("a post has JSON")
    }

    /// `type` of its body.
    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Whether `webhook-signature` is that of this post.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        use hmac::{Hmac, KeyInit as _, Mac as _};

        let key = secret.strip_prefix("whsec_").expect("a secret");
        let key = STANDARD.decode(key).expect("a secret");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
        let signed = format!(
            "{}.{}.{}",
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.body
        );
        mac.update(signed.as_bytes());
        let expected = STANDARD.encode(mac.finalize().into_bytes());
        self.header("webhook-signature") == format!("v1,{expected}")
    }
}

/// What is answered; `None` closes the connection without an answer.
type Answer = Option<(u16, String)>;

/// Takes posts at a port of its own until dropped.
pub(crate) struct Receiver {
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What is answered to a post, by its place among all.
type Answering = Box<dyn Fn(&Post, usize) -> Answer + Send + Sync>;

struct Shared {
    posts: Mutex<Vec<Post>>,
    came: Condvar,
    answer: Answering,
}

impl Receiver {
    /// One that answers 204 to everything.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| Some((204, String::new())))
    }

    /// One that answers as it is told, by the post and how many came before it.
    pub(crate) fn answering(
        answer: impl Fn(&Post, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            posts: Mutex::default(),
            came: Condvar::new(),
            answer: Box::new(answer),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                let mut first = [0_u8; 3];
                // The end, as `Drop` asks for it.
                if stream
                    .peek(&mut first)
                    .is_ok_and(|read| &first[..read] == b"END")
                {
                    return;
                }
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What came so far.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.shared
            .posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until so many came that `wanted` takes, and gives those.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize, wanted: impl Fn(&Post) -> bool) -> Vec<Post> {
        let deadline = Instant::now() + PATIENCE;
        let mut posts = self
            .shared
            .posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let found: Vec<Post> = posts.iter().filter(|it| wanted(it)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain; there came {posts:#?}");
            posts = self
                .shared
                .came
                .wait_timeout(posts, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until so many came.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Post> {
        self.wait(count, |_| true)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(&self.address) {
            let _ = stream.write_all(b"END");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
                if name == "content-length" {
                    length = value.parse().unwrap_or(0);
                }
                headers.push((name, value));
            }
        }
        let mut body = vec![0_u8; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let post = Post {
            headers,
            body: String::from_utf8(body).expect("posts are UTF-8"),
        };
        let before = {
            let mut posts = shared.posts.lock().unwrap_or_else(PoisonError::into_inner);
            posts.push(post.clone());
            posts.len() - 1
        };
        shared.came.notify_all();
        let Some((status, body)) = (shared.answer)(&post, before) else {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
