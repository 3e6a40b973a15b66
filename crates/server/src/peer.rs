//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use crate::settings::PluginCheck;

/// The other end of a connection; put into each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Came over TCP.
    Tcp {
        /// Its address.
        remote: SocketAddr,
        /// Whether it may be a plugin's process; only asked where nobody has to sign in.
        may_be_plugin: bool,
    },
    /// Came over the Unix socket.
    Unix {
        /// Runs as the user of this server.
        same_user: bool,
        /// Is a plugin's process, or descends from one.
        is_plugin: bool,
    },
}

impl Peer {
    /// Looks at the credentials the kernel gives for a connected Unix socket.
    pub(crate) fn of_unix(stream: &tokio::net::UnixStream, is_plugin: &PluginCheck) -> Self {
        let ours = rustix::process::geteuid().as_raw();
        match stream.peer_cred() {
            Ok(peer) => {
                // 0 stands for a process that this one cannot see: another pid namespace.
                let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                Self::Unix {
                    same_user: peer.uid() == ours,
                    is_plugin: pid.is_none_or(|pid| pid == 0 || is_plugin(pid)),
                }
            }
            Err(_) => Self::Unix {
                same_user: false,
                is_plugin: true,
            },
        }
    }
}

/// Whether the process behind a loopback connection may be a plugin's, by the kernel's table of
/// connections and the files that processes hold.
///
/// What cannot be found counts as a plugin: one could connect, write and close before anybody looks.
/// A process of another user that we may not look at is no plugin, because plugins run as our user
/// or, when we are root, as one we may look at. Reads a good part of `/proc`; blocking.
pub(crate) fn tcp_peer_may_be_plugin(
    local: SocketAddr,
    remote: SocketAddr,
    is_plugin: &PluginCheck,
) -> bool {
    let Some(socket) = find_socket(remote, local) else {
        return true;
    };
    let holders = holders(socket.inode);
    if holders.is_empty() {
        return socket.uid == rustix::process::geteuid().as_raw();
    }
    holders.into_iter().any(|pid| is_plugin(pid))
}

struct Socket {
    inode: u64,
    uid: u32,
}

/// The row of the connection whose own end is `own`.
fn find_socket(own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| {
            table.lines().skip(1).find_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let at = |index: usize| fields.get(index).copied().and_then(parse_address);
                if at(1)? != canonical(own) || at(2)? != canonical(other) {
                    return None;
                }
                let inode = fields.get(9)?.parse().ok()?;
                // A closed socket that still has something to send belongs to nobody: inode 0.
                (inode != 0).then_some(Socket {
                    inode,
                    uid: fields.get(7)?.parse().ok()?,
                })
            })
        })
}

/// IPv4 in IPv6 as IPv4.
fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// `0100007F:2379`, words in the machine's byte order.
fn parse_address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = ip
        .as_bytes()
        .chunks(8)
        .map(|chunk| {
            let word = std::str::from_utf8(chunk).ok()?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some((ip.to_canonical(), port))
}

/// The processes that hold a socket open, as far as we may look.
fn holders(inode: u64) -> Vec<u32> {
    let wanted = format!("socket:[{inode}]");
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|files| {
                files.flatten().any(|file| {
                    std::fs::read_link(file.path())
                        .is_ok_and(|target| target.as_os_str() == wanted.as_str())
                })
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use super::*;

    fn ours() -> PluginCheck {
        Arc::new(|pid| pid == std::process::id())
    }

    fn nobody() -> PluginCheck {
        Arc::new(|_| false)
    }

    #[test]
    fn the_process_behind_a_connection_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("skipped: cannot listen on {address}");
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, remote) = listener.accept().unwrap();
            let local = server.local_addr().unwrap();
            assert_eq!(remote, client.local_addr().unwrap());
            assert!(tcp_peer_may_be_plugin(local, remote, &ours()));
            assert!(!tcp_peer_may_be_plugin(local, remote, &nobody()));
        }
    }

    #[test]
    fn a_peer_that_closed_before_we_looked_counts_as_a_plugin() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, remote) = listener.accept().unwrap();
        drop(client);
        let local = server.local_addr().unwrap();
        assert!(tcp_peer_may_be_plugin(local, remote, &nobody()));
    }
}
