//! The channels of one function: to one process of a plugin, or to several that share its calls.
//!
//! A channel carries one call at a time. A [`Pool`] lends its channels by turns of the rules that wait for one
//! (HOST-31), whichever process they lead to; a call is written and its answer awaited by the task that
//! calls, so that no other task takes part. A process joins with as many channels as it is to have, and
//! leaves when it ends; calls go on while one process is left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use parking_lot::Mutex;
use plugyard_sp::{Protocol, RepConnection, SendError};
use plugyard_symbol::{SymbolError, SymbolKind};
use tokio::sync::{Notify, OnceCell, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::command::Order;
use crate::manifest::Language;
use crate::place::Arrivals;
use crate::process::{Worker, is_ours, seconds};
use crate::settings::PortableSettings;
use crate::token::{Event, Tokens};
use crate::turns::Turns;

/// Channels of one function in one process, however many it opens.
const CHANNELS: usize = 64;
/// A channel that was quiet for so long may have a handshake waiting.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// How long it may take until the end of a process is known whose channel has ended.
const END_SEEN_WITHIN: Duration = Duration::from_millis(250);
/// Between two attempts to start a function whose channel ended although its process lives.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    symbol: String,
    order: Order,
    idle: Mutex<Idle>,
    members: Mutex<Vec<Arc<Member>>>,
    /// Told when no call is under way.
    quiet: Notify,
    /// One call (HOST-32).
    deadline: Duration,
    /// Asked once for each version (HOST-30).
    pub(crate) aggregate: OnceCell<bool>,
}

/// Channels on which nothing is under way, and who waits for one.
#[derive(Debug, Default)]
struct Idle {
    channels: VecDeque<Box<Channel>>,
    waiting: Turns<oneshot::Sender<Borrowed>>,
    /// Channels that carry a call.
    busy: usize,
}

/// A process with what of the function runs in it.
#[derive(Debug)]
struct Member {
    worker: Arc<Worker>,
    /// Channels, idle or not.
    count: AtomicUsize,
    /// Who uses its channels, or did last.
    users: Mutex<Vec<Weak<User>>>,
    restarting: AtomicBool,
    /// It ended or was taken out: its channels are of no use any more.
    left: AtomicBool,
    opened: Notify,
    acceptor: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Channel {
    member: Arc<Member>,
    connection: RepConnection,
    tokens: Tokens,
    used: Instant,
    user: Arc<User>,
    /// A frame is being written: should that be given up, the channel is of no use any more.
    writing: bool,
    alarm: Alarm,
}

/// Whose call a channel carries, or carried last, and since when.
#[derive(Debug)]
struct User(Mutex<(Arc<str>, Instant)>);

/// Why a channel did not carry a call.
pub(crate) enum Trouble {
    /// It was gone already; another may do.
    NothingSent,
    /// The call may have reached the plugin.
    Failed(SymbolError),
    /// The deadline passed during the call.
    Late,
}

impl Pool {
    /// Listens, gives the start command, and waits for the channels, in each of the processes.
    pub(crate) async fn start(
        symbol: &str,
        settings: &PortableSettings,
        workers: &[Arc<Worker>],
    ) -> Result<Arc<Self>, SymbolError> {
        let pool = Arc::new(Self {
            symbol: symbol.to_owned(),
            order: Order::function(symbol),
            idle: Mutex::default(),
            members: Mutex::default(),
            quiet: Notify::new(),
            deadline: workers.first().map_or(settings.recv_timeout.0, |worker| {
                worker.launch.call_timeout(symbol, settings)
            }),
            aggregate: OnceCell::new(),
        });
        let joining = workers.iter().map(|worker| pool.join(worker));
        futures::future::try_join_all(joining).await?;
        Ok(pool)
    }

    /// Takes a process in.
    pub(crate) async fn join(self: &Arc<Self>, worker: &Arc<Worker>) -> Result<(), SymbolError> {
        let symbol = &self.symbol;
        let listener = worker.listen(
            &format!("function {symbol}"),
            &function_socket(symbol),
            Protocol::Rep,
        )?;
        let member = Arc::new(Member {
            worker: Arc::clone(worker),
            count: AtomicUsize::new(0),
            users: Mutex::default(),
            restarting: AtomicBool::new(false),
            left: AtomicBool::new(false),
            opened: Notify::new(),
            acceptor: Mutex::default(),
        });
        let accepting = accept(listener, Arc::clone(&member), Arc::downgrade(self));
        let acceptor = tokio::spawn(accepting);
        *member.acceptor.lock() = Some(acceptor.abort_handle());
        self.members.lock().push(Arc::clone(&member));
        // Only the Python SDK opens another channel for another start command.
        let channels = match worker.launch.manifest.language {
            Language::Python => worker.launch.options.function_channels.max(1),
            Language::Go => 1,
        };
        for _ in 0..channels {
            if let Err(error) = self.open(&member).await {
                self.leave(worker);
                // The socket's name is free again when this returns, so that it can be tried again.
                acceptor.abort();
                let _ = acceptor.await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn open(&self, member: &Member) -> Result<(), SymbolError> {
        let worker = &member.worker;
        worker
            .start_symbol(SymbolKind::Function, &self.symbol, &self.order)
            .await?;
        // The SDKs dial before they answer, so this is a matter of moments.
        let patience = worker.options().handshake_timeout;
        match timeout(patience, member.opened.notified()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(SymbolError::timeout(format!(
                "function {} was started, but did not open its channel",
                self.symbol
            ))),
        }
    }

    /// Lets a process go; how many are left.
    pub(crate) fn leave(&self, worker: &Arc<Worker>) -> usize {
        let mut members = self.members.lock();
        members.retain(|member| {
            let stays = !Arc::ptr_eq(&member.worker, worker);
            if !stays {
                member.leave();
            }
            stays
        });
        let left = members.len();
        drop(members);
        let mut idle = self.idle.lock();
        let all = std::mem::take(&mut idle.channels);
        let (ended, rest): (VecDeque<_>, _) = all.into_iter().partition(|it| it.member.has_left());
        idle.channels = rest;
        drop(idle);
        // Closing sockets is nothing to hold a lock for.
        drop(ended);
        left
    }

    /// How long a call may take (HOST-32).
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Why there is no channel for a call, for whoever waited for one; nothing when there is.
    pub(crate) fn why_busy(&self) -> Option<String> {
        let symbol = &self.symbol;
        let members = self.members.lock().clone();
        let users: Vec<Arc<User>> = {
            let all = members
                .iter()
                .flat_map(|member| member.users.lock().clone());
            all.filter_map(|user| user.upgrade()).collect()
        };
        let idle = self.idle.lock();
        let is_idle = |user: &Arc<User>| idle.channels.iter().any(|it| Arc::ptr_eq(&it.user, user));
        let (free, busy): (Vec<_>, Vec<_>) = users.into_iter().partition(is_idle);
        drop(idle);
        if !free.is_empty() {
            return None;
        }
        let calls = busy.iter().map(|user| user.0.lock().clone());
        let Some((rule, since)) = calls.min_by_key(|(_, since)| *since) else {
            return Some(format!("function {symbol} has no channel at the moment"));
        };
        let channels = match busy.len() {
            1 => "the only channel".to_owned(),
            all => format!("all {all} channels"),
        };
        let rule = match &*rule {
            "" => "the check of a rule".to_owned(),
            rule => format!("rule {rule}"),
        };
        Some(format!(
            "{channels} of function {symbol} in use, by {rule} for {} already; the plugin's options `workers` and \
             `function_channels` let more calls run at once, `call_timeout` lets them wait longer",
            seconds(since.elapsed())
        ))
    }

    /// Resolves when no call is under way.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            if self.idle.lock().busy == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// Takes in the handshakes that idle channels received and notices those that ended.
    pub(crate) fn tend(self: &Arc<Self>) {
        let count = self.idle.lock().channels.len();
        for _ in 0..count {
            let Some(mut borrowed) = self.try_borrow() else {
                return;
            };
            if let Some(channel) = &mut borrowed.channel
                && !channel.take_in()
            {
                borrowed.lose();
            }
        }
    }

    /// A channel, if one is idle.
    pub(crate) fn try_borrow(self: &Arc<Self>) -> Option<Borrowed> {
        let mut idle = self.idle.lock();
        let channel = idle.channels.pop_front()?;
        idle.busy += 1;
        Some(Borrowed {
            pool: Arc::clone(self),
            channel: Some(channel),
        })
    }

    /// The next channel that is idle; those who wait for one are served by turns of their rules. `None`
    /// never comes of itself; dropping the future loses nothing.
    pub(crate) async fn borrow(self: &Arc<Self>, rule: &str) -> Option<Borrowed> {
        let waiting = {
            let mut idle = self.idle.lock();
            if let Some(channel) = idle.channels.pop_front() {
                idle.busy += 1;
                return Some(Borrowed {
                    pool: Arc::clone(self),
                    channel: Some(channel),
                });
            }
            idle.waiting.retain(|waiting| !waiting.is_closed());
            let (sender, receiver) = oneshot::channel();
            idle.waiting.wait(rule, sender);
            receiver
        };
        waiting.await.ok()
    }

    /// A channel on which nothing is under way (any more): it goes to whoever is next.
    fn give(self: &Arc<Self>, channel: Box<Channel>, was_busy: bool) {
        let mut channel = Some(channel);
        if channel.as_ref().is_some_and(|it| it.member.has_left()) {
            if was_busy {
                self.one_ended(&mut self.idle.lock());
            }
            return;
        }
        while let Some(given) = channel.take() {
            let waiting = {
                let mut idle = self.idle.lock();
                let Some(waiting) = idle.waiting.next() else {
                    if was_busy {
                        self.one_ended(&mut idle);
                    }
                    idle.channels.push_back(given);
                    return;
                };
                if !was_busy {
                    idle.busy += 1;
                }
                waiting
            };
            let borrowed = Borrowed {
                pool: Arc::clone(self),
                channel: Some(given),
            };
            match waiting.send(borrowed) {
                Ok(()) => return,
                // It gave up meanwhile: the next one, then. Not dropped, which would come back here.
                Err(mut refused) => {
                    channel = refused.channel.take();
                    if !was_busy {
                        self.one_ended(&mut self.idle.lock());
                    }
                }
            }
        }
    }

    /// A channel carries no call any more.
    fn one_ended(&self, idle: &mut Idle) {
        idle.busy -= 1;
        if idle.busy == 0 {
            self.quiet.notify_waiters();
        }
    }

    /// A channel ended. The Python SDK does not open another by itself (HOST-14).
    fn lost(self: &Arc<Self>, member: &Arc<Member>) {
        let left = member.count.fetch_sub(1, Ordering::AcqRel) - 1;
        if left > 0 || member.has_left() || member.restarting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (pool, member) = (Arc::downgrade(self), Arc::clone(member));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RESTART_PAUSE).await;
                let Some(pool) = pool.upgrade() else { return };
                let worker = &member.worker;
                let needless = member.count.load(Ordering::Acquire) > 0
                    || member.has_left()
                    || worker.is_ending()
                    || worker.process.try_wait().is_some();
                if needless || worker.command(pool.order.start()).await.is_ok() {
                    member.restarting.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for member in self.members.get_mut() {
            member.leave();
        }
    }
}

impl Member {
    fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.left.store(true, Ordering::Release);
        if let Some(acceptor) = self.acceptor.lock().take() {
            acceptor.abort();
        }
    }
}

/// The name of a function's socket.
pub(crate) fn function_socket(symbol: &str) -> String {
    format!("func_{symbol}.ipc")
}

/// Takes in channels as the process opens them, the first and those after a reconnect.
async fn accept(mut listener: Arrivals, member: Arc<Member>, pool: Weak<Pool>) {
    loop {
        let Ok(connection) = listener.accept().await else {
            continue;
        };
        let Some(pool) = pool.upgrade() else { return };
        if !is_ours(&connection) || member.count.load(Ordering::Acquire) >= CHANNELS {
            tracing::warn!("Turned away a peer on a function channel");
            continue;
        }
        let Ok(connection) = connection.into_rep() else {
            continue;
        };
        member.count.fetch_add(1, Ordering::AcqRel);
        let user = Arc::new(User(Mutex::new(("".into(), Instant::now()))));
        {
            let mut users = member.users.lock();
            users.retain(|user| user.strong_count() > 0);
            users.push(Arc::downgrade(&user));
        }
        let channel = Channel {
            member: Arc::clone(&member),
            connection,
            user,
            tokens: Tokens::default(),
            used: Instant::now(),
            writing: false,
            alarm: Alarm::default(),
        };
        pool.give(Box::new(channel), false);
        member.opened.notify_one();
    }
}

impl Channel {
    /// Takes in what has come without waiting; false when the channel has ended.
    fn take_in(&mut self) -> bool {
        loop {
            match self.connection.recv().now_or_never() {
                Some(Ok(Some(request))) => {
                    self.tokens.receive(request);
                }
                Some(_) => return false,
                None => return true,
            }
        }
    }
}

/// A channel on loan. Dropped in the middle of a call, it goes back when the late result has come.
#[derive(Debug)]
pub(crate) struct Borrowed {
    pool: Arc<Pool>,
    channel: Option<Box<Channel>>,
}

impl Borrowed {
    /// Writes a request of that rule and waits for its result, until `deadline`. `since` is now.
    pub(crate) async fn call(
        mut self,
        rule: &Arc<str>,
        since: Instant,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Bytes, Trouble> {
        let mut alarm = match &mut self.channel {
            Some(channel) => {
                *channel.user.0.lock() = (Arc::clone(rule), since);
                std::mem::take(&mut channel.alarm)
            }
            None => Alarm::default(),
        };
        let outcome = alarm.until(deadline, self.exchange(request)).await;
        match outcome {
            None => Err(Trouble::Late),
            Some(outcome) => {
                if matches!(outcome, Err(Trouble::NothingSent)) {
                    self.lose();
                }
                if let Some(channel) = &mut self.channel {
                    channel.alarm = alarm;
                }
                outcome
            }
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Bytes, Trouble> {
        let Some(channel) = &mut self.channel else {
            return Err(Trouble::NothingSent);
        };
        if channel.member.has_left() || (channel.used.elapsed() > STALE_AFTER && !channel.take_in())
        {
            return Err(Trouble::NothingSent);
        }
        let mut token = loop {
            if let Some(token) = channel.tokens.issue() {
                break token;
            }
            match channel.connection.recv().await {
                Ok(Some(request)) => {
                    channel.tokens.receive(request);
                }
                _ => return Err(Trouble::NothingSent),
            }
        };
        let mut first = true;
        loop {
            channel.writing = true;
            match channel.connection.reply(&token, request).await {
                Ok(()) => channel.writing = false,
                Err(SendError::TooLong { length, limit }) => {
                    channel.writing = false;
                    channel.tokens.give_up();
                    return Err(Trouble::Failed(SymbolError::refused(format!(
                        "the arguments have {length} bytes, and plugins written in Go take at most {limit}"
                    ))));
                }
                Err(_) if first => return Err(Trouble::NothingSent),
                Err(_) => return Err(Trouble::Failed(self.ended().await)),
            }
            first = false;
            token = loop {
                match channel.connection.recv_soon().await {
                    Ok(Some(request)) => match channel.tokens.receive(request) {
                        Event::Result(body) => {
                            channel.used = Instant::now();
                            return Ok(body);
                        }
                        Event::Again(token) => break token,
                        Event::Idle => {}
                    },
                    _ => return Err(Trouble::Failed(self.ended().await)),
                }
            };
        }
    }

    /// The channel ended during a call.
    async fn ended(&mut self) -> SymbolError {
        let worker = self
            .channel
            .as_ref()
            .map(|it| Arc::clone(&it.member.worker));
        self.lose();
        let Some(worker) = worker else {
            return SymbolError::io("the function's channel is closed");
        };
        let name = &worker.launch.manifest.name;
        // The channel of a process that ends is gone a moment before it is.
        let process = match timeout(END_SEEN_WITHIN, worker.process.wait()).await.ok() {
            Some(exit) => format!("its process ended ({})", crate::process::describe(&exit)),
            None => "it closed the function's channel".to_owned(),
        };
        SymbolError::io(format!("plugin {name} did not finish the call: {process}"))
    }

    fn lose(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.pool.one_ended(&mut self.pool.idle.lock());
            self.pool.lost(&channel.member);
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(mut channel) = self.channel.take() else {
            return;
        };
        if !channel.tokens.in_flight() {
            self.pool.give(channel, true);
            return;
        }
        let pool = Arc::clone(&self.pool);
        if channel.writing {
            pool.one_ended(&mut pool.idle.lock());
            pool.lost(&channel.member);
            return;
        }
        // The caller has gone; the plugin is still at it (HOST-31).
        tokio::spawn(async move {
            loop {
                match channel.connection.recv().await {
                    Ok(Some(request)) => match channel.tokens.receive(request) {
                        Event::Result(_) => break,
                        // It never got the call, which nobody wants any more.
                        Event::Again(_) => {
                            channel.tokens.give_up();
                            break;
                        }
                        Event::Idle => {}
                    },
                    _ => {
                        pool.one_ended(&mut pool.idle.lock());
                        pool.lost(&channel.member);
                        return;
                    }
                }
            }
            channel.used = Instant::now();
            pool.give(channel, true);
        });
    }
}
