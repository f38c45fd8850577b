//! One server, or whichever the sentinels name, with one connection that all requests share.
//!
//! A task keeps the connection: it makes it, looks after it while nothing is asked, and makes it anew when it is lost. Only
//! this task connects, so there is one attempt at a time however many requests wait. Once an attempt has failed, requests
//! fail at once until another has not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::sync::watch;

use super::backoff::Backoff;
use super::dial::{Connection, Dialer, Running, within};
use super::failure::{Failure, spelled};
use super::request::Request;
use super::sentinel::Sentinels;
use crate::session::settings::ServerAddress;

/// A request is answered within this, or the server is taken to hang.
const ANSWER: Duration = Duration::from_secs(1);

/// How often the connection is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// A connection that lasted for less than this was no success.
const LASTING: u32 = 2;

/// How the server is found.
pub(super) enum Finder {
    /// It is always this one.
    Fixed(ServerAddress),
    /// It is the one that the sentinels call the primary.
    Sentinels(Sentinels),
}

impl fmt::Display for Finder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(server) => formatter.write_str(&spelled(server)),
            Self::Sentinels(sentinels) => write!(formatter, "the primary called {}", sentinels.name()),
        }
    }
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) server: ServerAddress,
    connection: Connection,
    serial: u64,
}

/// How it stands with the connection.
#[derive(Clone)]
pub(super) enum Condition {
    /// It is being made; nothing speaks against it yet.
    Connecting,
    /// It is there.
    Up(Link),
    /// The last attempt has failed; others follow.
    Down(Failure),
}

/// See the module.
pub(super) struct Node {
    condition: watch::Sender<Condition>,
    _keeper: Running,
}

impl Node {
    /// Begins to connect.
    pub(super) fn new(finder: Finder, dialer: Arc<Dialer>) -> Arc<Self> {
        let condition = watch::Sender::new(Condition::Connecting);
        let keeper = Keeper { finder, dialer, condition: condition.clone(), serials: AtomicU64::new(0) };
        Arc::new(Self { condition, _keeper: Running::spawn(keeper.run()) })
    }

    /// How it stands, now and from now on.
    pub(super) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(*self.condition.borrow(), Condition::Down(_))
    }

    /// The connection, if there is one or the first attempt to make it succeeds.
    pub(super) async fn link(&self) -> Result<Link, Failure> {
        let mut condition = self.condition.subscribe();
        let settled = condition.wait_for(|condition| !matches!(condition, Condition::Connecting)).await;
        match settled.as_deref() {
            Ok(Condition::Up(link)) => Ok(link.clone()),
            Ok(Condition::Down(failure)) => Err(failure.clone()),
            _ => Err(Failure::Closed),
        }
    }

    /// Asks the server; of `is_moving` keys it is told that the question is meant.
    pub(super) async fn send(&self, request: &Request, is_moving: bool) -> Result<Value, Failure> {
        let link = self.link().await?;
        let answer = within(ANSWER, ask(&link, request, is_moving)).await;
        if let Err(failure) = &answer {
            self.note(&link, failure);
        }
        answer
    }

    /// Lets go of a connection that has failed.
    pub(super) fn note(&self, link: &Link, failure: &Failure) {
        if !failure.ends_connection() {
            return;
        }
        self.condition.send_if_modified(|condition| {
            let is_same = matches!(condition, Condition::Up(current) if current.serial == link.serial);
            if is_same {
                *condition = after(failure);
            }
            is_same
        });
    }
}

/// How it stands once a connection has failed. A server that hangs is not waited for again.
fn after(failure: &Failure) -> Condition {
    match failure {
        Failure::TimedOut => Condition::Down(failure.clone()),
        _ => Condition::Connecting,
    }
}

async fn ask(link: &Link, request: &Request, is_moving: bool) -> Result<Value, Failure> {
    match send(link, request.as_command(), is_moving).await {
        Err(Failure::UnknownScript) => match request.in_full() {
            Some(command) => send(link, &command, is_moving).await,
            None => Err(Failure::UnknownScript),
        },
        answer => answer,
    }
}

async fn send(link: &Link, command: &redis::Cmd, is_moving: bool) -> Result<Value, Failure> {
    let mut requests = link.connection.requests.clone();
    let answer = if is_moving {
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore().add_command(command.clone());
        both.query_async::<Vec<Value>>(&mut requests).await.map(|answers| answers.into_iter().next_back())
    } else {
        command.query_async::<Value>(&mut requests).await.map(Some)
    };
    let value = answer?.ok_or(Failure::Garbled)?;
    Ok(value.extract_error()?)
}

struct Keeper {
    finder: Finder,
    dialer: Arc<Dialer>,
    condition: watch::Sender<Condition>,
    serials: AtomicU64,
}

impl Keeper {
    async fn run(self) {
        let (mut backoff, mut is_away) = (Backoff::default(), false);
        let mut editions = self.dialer.editions();
        loop {
            editions.mark_unchanged();
            match self.connect().await {
                Ok(link) => {
                    tracing::info!(event = "store.connected", server = spelled(&link.server));
                    is_away = false;
                    self.condition.send_replace(Condition::Up(link.clone()));
                    if self.look_after(link, &mut editions).await >= LASTING {
                        backoff.reset();
                        continue;
                    }
                }
                Err(failure) => {
                    // Said once, not at every attempt.
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(event = "store.away", server = %self.finder, failure = %failure);
                    }
                    self.condition.send_replace(Condition::Down(failure));
                }
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let server = match &self.finder {
            Finder::Fixed(server) => server.clone(),
            Finder::Sentinels(sentinels) => sentinels.primary(&self.dialer).await?,
        };
        let connection = match &self.finder {
            Finder::Fixed(_) => self.dialer.connect(&server).await?,
            Finder::Sentinels(sentinels) => {
                let connected = self.connect_to_primary(&server).await;
                connected.inspect_err(|_| sentinels.ask_another())?
            }
        };
        Ok(Link { server, connection, serial: self.serials.fetch_add(1, Ordering::Relaxed) })
    }

    /// A sentinel may name a server that has become a replica a moment ago.
    async fn connect_to_primary(&self, server: &ServerAddress) -> Result<Connection, Failure> {
        let connection = self.dialer.connect(server).await?;
        let mut requests = connection.requests.clone();
        let role = within(ANSWER, async { Ok(redis::cmd("ROLE").query_async(&mut requests).await?) }).await?;
        match role {
            Value::Array(parts) if matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master") => {
                Ok(connection)
            }
            _ => Err(Failure::Replica),
        }
    }

    /// Returns once the connection is lost, with how many times it was looked after.
    async fn look_after(&self, mut link: Link, editions: &mut watch::Receiver<u64>) -> u32 {
        let mut condition = self.condition.subscribe();
        let mut looks = 0;
        loop {
            tokio::select! {
                () = lost(&mut condition, link.serial) => return looks,
                Ok(()) = editions.changed() => match self.connect().await {
                    Ok(renewed) => {
                        self.condition.send_replace(Condition::Up(renewed.clone()));
                        link = renewed;
                    }
                    // The old one goes on: it was good when it was made.
                    Err(failure) => tracing::warn!(
                        event = "store.renewal-failed",
                        server = spelled(&link.server),
                        failure = %failure,
                    ),
                },
                looked = self.look(&link) => match looked {
                    Ok(()) => looks += 1,
                    Err(failure) => {
                        self.condition.send_replace(after(&failure));
                        return looks;
                    }
                },
            }
        }
    }

    /// After a while, whether the connection is as it should be.
    async fn look(&self, link: &Link) -> Result<(), Failure> {
        tokio::time::sleep(LOOK).await;
        let mut requests = link.connection.requests.clone();
        let answered = within(ANSWER, async { Ok(redis::cmd("PING").exec_async(&mut requests).await?) }).await;
        if let Err(failure) = answered
            && failure.ends_connection()
        {
            return Err(failure);
        }
        if let Finder::Sentinels(sentinels) = &self.finder
            && let Ok(primary) = sentinels.primary(&self.dialer).await
            && primary != link.server
        {
            return Err(Failure::Replica);
        }
        Ok(())
    }
}

async fn lost(condition: &mut watch::Receiver<Condition>, serial: u64) {
    let is_lost = |condition: &Condition| !matches!(condition, Condition::Up(link) if link.serial == serial);
    // The sender is ours, so there is always another change to wait for.
    let _ = condition.wait_for(is_lost).await;
}
