//! People who go on asking, whatever happens to the gateways, and what they get.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::patiently;
use super::replicas::{Balancer, HOST};

/// Somebody with a session.
#[derive(Clone, Debug)]
pub struct Person {
    pub subject: String,
    /// The `Cookie` header.
    pub cookie: String,
}

/// What one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The upstream answered, and saw this very person.
    Served,
    /// The upstream saw somebody else: what must never happen.
    Foreign,
    /// 401: logged out.
    LoggedOut,
    /// 503: not now.
    Unavailable,
    /// No connection, or one that broke.
    Broken,
    /// Anything else.
    Odd(u16),
}

pub type Tally = BTreeMap<Outcome, usize>;

/// How often something came about.
pub fn count(tally: &Tally, outcome: Outcome) -> usize {
    tally.get(&outcome).copied().unwrap_or_default()
}

/// One request of a person to one gateway.
pub async fn ask(address: std::net::SocketAddr, person: &Person) -> Outcome {
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {HOST}\r\nCookie: {}\r\nConnection: close\r\nAccept: application/json\r\n\r\n",
        person.cookie
    );
    let answered = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let Ok(answer) = patiently("an answer", answered).await else { return Outcome::Broken };
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match status {
        // One that broke off in the middle of the answer has no whole body.
        Some(200) if body.starts_with(&format!("{} Bearer ", person.subject)) => Outcome::Served,
        Some(200) if body.is_empty() => Outcome::Broken,
        Some(200) => Outcome::Foreign,
        Some(401) => Outcome::LoggedOut,
        Some(503) => Outcome::Unavailable,
        Some(status) => Outcome::Odd(status),
        None => Outcome::Broken,
    }
}

/// People who ask one request after the other until they are told to stop.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    people: JoinSet<Tally>,
}

impl Crowd {
    pub fn of(people: &[Person], balancer: &Balancer) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut set = JoinSet::new();
        for (number, person) in people.iter().cloned().enumerate() {
            let (stop, asked, balancer) = (Arc::clone(&stop), Arc::clone(&asked), balancer.clone());
            set.spawn(async move {
                let mut tally = Tally::new();
                for turn in number.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let outcome = match balancer.choose(turn) {
                        Some(address) => ask(address, &person).await,
                        None => Outcome::Broken,
                    };
                    *tally.entry(outcome).or_default() += 1;
                    asked.fetch_add(1, Ordering::SeqCst);
                    // Bounded: a crowd that hammers measures nothing but the machine.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                tally
            });
        }
        Self { stop, asked, people: set }
    }

    /// Waits until so many requests more have been answered.
    pub async fn goes_on_for(&self, requests: usize) {
        let wanted = self.asked.load(Ordering::SeqCst) + requests;
        patiently("the crowd to go on", async {
            while self.asked.load(Ordering::SeqCst) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// What all of them got.
    pub async fn disperse(mut self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Tally::new();
        while let Some(tally) = patiently("the crowd to disperse", self.people.join_next()).await {
            for (outcome, times) in tally.unwrap() {
                *all.entry(outcome).or_default() += times;
            }
        }
        all
    }
}
