//! How many requests a second: many sessions, each used by one client at a time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::app::Kind;
use crate::client::{Client, Jar};
use crate::options::Options;
use crate::server::{Server, cpu_here};

/// What came out for one app.
#[derive(Debug, Serialize)]
pub struct Speed {
    pub app: Kind,
    /// Right answers in a second, of each round.
    pub rates: Vec<f64>,
    /// Microseconds of the server's processor time for each request.
    pub server_us: Vec<f64>,
    /// The same of the clients.
    pub client_us: Vec<f64>,
    /// Counts that were not one more than the session's last one.
    pub wrong: u64,
    /// Answers of another status than 200.
    pub refused: u64,
    /// The first of either.
    pub first_fault: Option<String>,
}

pub fn measure(servers: &mut [Server], options: &Options) -> Result<Vec<Speed>> {
    let mut crowds = Vec::new();
    for server in &*servers {
        eprintln!("{}: making {} sessions", server.app.name(), options.sessions);
        crowds.push(Crowd::gather(server, options)?);
    }
    let mut speeds: Vec<_> = servers.iter().map(|server| Speed::none(server.app)).collect();
    for round in 1..=options.rounds {
        eprintln!("speed: round {round} of {}", options.rounds);
        for ((server, crowd), speed) in servers.iter_mut().zip(&mut crowds).zip(&mut speeds) {
            let cpu = (server.cpu()?, cpu_here());
            let tally = crowd.ask(server, options.time())?;
            let requests = tally.right + tally.wrong + tally.refused;
            let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / requests as f64;
            speed.client_us.push(each(cpu_here() - cpu.1));
            speed.server_us.push(each(server.cpu()? - cpu.0));
            speed.rates.push(tally.rate);
            speed.wrong += tally.wrong;
            speed.refused += tally.refused;
            speed.first_fault = speed.first_fault.take().or(tally.first_fault);
        }
    }
    Ok(speeds)
}

impl Speed {
    fn none(app: Kind) -> Self {
        Self {
            app,
            rates: Vec::new(),
            server_us: Vec::new(),
            client_us: Vec::new(),
            wrong: 0,
            refused: 0,
            first_fault: None,
        }
    }
}

/// All sessions of an app, dealt out to the clients.
struct Crowd(Vec<Vec<Visitor>>);

/// One session.
struct Visitor {
    jar: Jar,
    /// What it was answered last.
    count: u64,
    has_session: bool,
}

/// What happened in a round.
#[derive(Default)]
struct Tally {
    right: u64,
    wrong: u64,
    refused: u64,
    first_fault: Option<String>,
    rate: f64,
}

impl Crowd {
    /// Makes the sessions by a first request of each.
    fn gather(server: &Server, options: &Options) -> Result<Self> {
        let mut client = Client::connect(server.address)?;
        let has_session = server.app.has_sessions();
        let mut hands: Vec<Vec<Visitor>> = (0..options.clients).map(|_| Vec::new()).collect();
        for number in 0..options.sessions {
            let mut visitor = Visitor { jar: Jar::default(), count: 0, has_session };
            let mut tally = Tally::default();
            visitor.count(&mut client, &mut tally)?;
            if let Some(fault) = tally.first_fault {
                anyhow::bail!("{}: the first request of a session: {fault}", server.app.name());
            }
            ensure!(visitor.jar.is_empty() != has_session, "the first answer has no cookie");
            hands.get_mut(number % options.clients).context("each has a client")?.push(visitor);
        }
        Ok(Self(hands))
    }

    /// All clients at once, each on its sessions in turn.
    fn ask(&mut self, server: &Server, time: Duration) -> Result<Tally> {
        let mut clients = Vec::new();
        for _ in &self.0 {
            clients.push(Client::connect(server.address)?);
        }
        let begin = Instant::now() + MUSTER;
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (client, visitors) in clients.into_iter().zip(&mut self.0) {
                threads.push(scope.spawn(move || ask(client, visitors, begin, time)));
            }
            threads.into_iter().try_fold(Tally::default(), |all, thread| {
                Ok(all.and(thread.join().ok().context("a client panicked")??))
            })
        })
    }
}

fn ask(
    mut client: Client,
    visitors: &mut [Visitor],
    begin: Instant,
    time: Duration,
) -> Result<Tally> {
    let mut tally = Tally::default();
    thread::sleep(begin.saturating_duration_since(Instant::now()));
    'time: loop {
        for visitor in &mut *visitors {
            visitor.count(&mut client, &mut tally)?;
            if begin.elapsed() >= time {
                break 'time;
            }
        }
    }
    tally.rate = tally.right as f64 / begin.elapsed().as_secs_f64();
    Ok(tally)
}

impl Visitor {
    fn count(&mut self, client: &mut Client, tally: &mut Tally) -> Result<()> {
        let answer = client.get("/count", &mut self.jar)?;
        let number = answer.text.parse::<u64>().ok();
        let expected = if self.has_session { self.count + 1 } else { 1 };
        if answer.status != 200 {
            tally.refused += 1;
            let fault = || format!("status {}: {}", answer.status, answer.text);
            tally.first_fault.get_or_insert_with(fault);
        } else if number != Some(expected) {
            tally.wrong += 1;
            let fault = || format!("{:?} instead of {expected}", answer.text);
            tally.first_fault.get_or_insert_with(fault);
            // One fault is one, however the session goes on.
            self.count = number.unwrap_or(expected);
        } else {
            tally.right += 1;
            self.count = expected;
        }
        Ok(())
    }
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            refused: self.refused + other.refused,
            first_fault: self.first_fault.or(other.first_fault),
            rate: self.rate + other.rate,
        }
    }
}

/// Until all clients are there.
const MUSTER: Duration = Duration::from_millis(30);
