//! The machine behind every control and function connection (HOST-19).
//!
//! The plugin is REQ and the host is REP, but it is the host that has commands. So each request of the
//! plugin is the result of the command before it and at the same time the *token* for one more command.
//! Both SDKs send requests that mean nothing (a `handshake` every 5 s while idle, a repetition of the
//! last request after a reconnect or a minute), which must be told from results: by the exact body
//! and by the request's id.
//!
//! Pure: bytes are moved by whoever owns the connection.

use bytes::Bytes;
use plugyard_sp::{Backtrace, Request};

/// What a plugin sends when it has no result to tell.
const HANDSHAKE: &[u8] = b"handshake";

/// State of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The newest request that nobody has answered.
    token: Option<Backtrace>,
    /// The request that a command was last written to, while its result is awaited.
    in_flight: Option<Backtrace>,
}

/// What a request turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// No command is out: the request is the token for the next one.
    Idle,
    /// The plugin did not get the command: it has to be written again, as the reply to this.
    Again(Backtrace),
    /// The result of the command; the request is at the same time the next token.
    Result(Bytes),
}

impl Tokens {
    /// Takes the token to write a command to; `None` while there is none or a command is out.
    pub(crate) fn issue(&mut self) -> Option<Backtrace> {
        if self.in_flight.is_some() {
            return None;
        }
        self.in_flight = self.token.take();
        self.in_flight
    }

    /// Whether a command is out.
    pub(crate) fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The connection ended: what was not answered on it never will be. A command that is out stays
    /// out, because the same process may come back and say what became of it.
    pub(crate) fn connection_lost(&mut self) {
        self.token = None;
    }

    /// After [`Event::Again`]: forgets the command instead of writing it again.
    pub(crate) fn give_up(&mut self) {
        self.token = self.in_flight.take();
    }

    /// Takes in a request of the plugin.
    pub(crate) fn receive(&mut self, request: Request) -> Event {
        let Some(sent_to) = self.in_flight else {
            self.token = Some(request.backtrace);
            return Event::Idle;
        };
        if request.body == HANDSHAKE || request.id() == sent_to.id() {
            self.in_flight = Some(request.backtrace);
            return Event::Again(request.backtrace);
        }
        self.in_flight = None;
        self.token = Some(request.backtrace);
        Event::Result(request.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: u32, body: &'static str) -> Request {
        Request {
            backtrace: Backtrace::direct(id),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn fact_22_a_pending_handshake_is_consumed_by_the_first_command() {
        let mut tokens = Tokens::default();
        assert!(tokens.issue().is_none());
        assert_eq!(tokens.receive(request(1, "handshake")), Event::Idle);
        assert_eq!(tokens.issue(), Some(Backtrace::direct(1)));
        assert_eq!(tokens.receive(request(2, "ok")), Event::Result("ok".into()));
        assert_eq!(tokens.issue(), Some(Backtrace::direct(2)));
    }

    #[test]
    fn host_19_of_several_requests_while_idle_only_the_newest_counts() {
        let mut tokens = Tokens::default();
        for id in 1..=100 {
            assert_eq!(tokens.receive(request(id, "handshake")), Event::Idle);
        }
        assert_eq!(tokens.issue(), Some(Backtrace::direct(100)));
        assert!(tokens.issue().is_none(), "one command at a time");
    }

    #[test]
    fn host_19_a_handshake_that_crossed_the_command_gets_the_command_again() {
        let mut tokens = Tokens::default();
        tokens.receive(request(1, "handshake"));
        tokens.issue();
        assert_eq!(
            tokens.receive(request(2, "handshake")),
            Event::Again(Backtrace::direct(2))
        );
        assert!(tokens.issue().is_none());
        assert_eq!(tokens.receive(request(3, "ok")), Event::Result("ok".into()));
        assert!(tokens.issue().is_some());
    }

    #[test]
    fn host_19_a_retransmission_is_not_taken_for_a_result() {
        let mut tokens = Tokens::default();
        tokens.receive(request(7, "ok"));
        tokens.receive(request(7, "ok"));
        assert_eq!(tokens.issue(), Some(Backtrace::direct(7)));
        assert_eq!(
            tokens.receive(request(7, "ok")),
            Event::Again(Backtrace::direct(7))
        );
        assert_eq!(tokens.receive(request(8, "ok")), Event::Result("ok".into()));
    }

    #[test]
    fn host_19_a_result_that_begins_like_a_handshake_is_a_result() {
        let mut tokens = Tokens::default();
        tokens.receive(request(1, "handshake"));
        tokens.issue();
        assert_eq!(
            tokens.receive(request(2, "handshake failed")),
            Event::Result("handshake failed".into())
        );
    }

    #[test]
    fn host_08_a_stale_result_of_an_earlier_host_is_only_a_token() {
        let mut tokens = Tokens::default();
        assert_eq!(
            tokens.receive(request(9, "Traceback (most recent call last):")),
            Event::Idle
        );
        assert!(tokens.issue().is_some());
    }
}
