//! Scalability Protocols (REQ/REP, PUSH/PULL) on Unix sockets for tokio
