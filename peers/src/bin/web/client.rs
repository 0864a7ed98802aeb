//! A client: GET requests on one connection, which is kept alive.
//!
//! It blocks its thread and takes no runtime: what the client costs, on cores that it shares with
//! the server, no measurement of the server should pay.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// One connection.
pub struct Client {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

/// What the server answered.
pub struct Answer<'a> {
    pub status: u16,
    /// The last `Set-Cookie` header; the apps have no other cookie than the session's.
    pub set_cookie: Option<&'a str>,
    pub text: &'a str,
}

/// The session's cookie, as a browser keeps it; empty at first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Jar(String);

impl Client {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { stream, request: String::new(), answer: vec![0; ANSWER_MAX] })
    }

    /// Asks with the cookie of the jar, and puts into it what the answer says.
    pub fn get(&mut self, path: &str, jar: &mut Jar) -> Result<Answer<'_>> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nHost: localhost\r\n")?;
        if !jar.0.is_empty() {
            write!(self.request, "Cookie: {}\r\n", jar.0)?;
        }
        self.request.push_str("\r\n");
        self.stream.write_all(self.request.as_bytes()).context("cannot send a request")?;
        let answer = self.receive().with_context(|| format!("GET {path}"))?;
        if let Some(set_cookie) = answer.set_cookie {
            jar.follow(set_cookie);
        }
        Ok(answer)
    }

    fn receive(&mut self) -> Result<Answer<'_>> {
        let mut filled = 0;
        let whole = loop {
            let rest = self.answer.get_mut(filled..).unwrap_or_default();
            ensure!(!rest.is_empty(), "the answer is longer than {ANSWER_MAX} bytes");
            let count = self.stream.read(rest).context("no answer")?;
            ensure!(count > 0, "the server closed the connection");
            filled += count;
            let so_far = self.answer.get(..filled).unwrap_or_default();
            if let Some(whole) = length(so_far)? {
                break whole;
            }
        };
        ensure!(whole == filled, "the server sent more than one answer");
        Answer::parse(self.answer.get(..whole).unwrap_or_default())
    }
}

impl<'a> Answer<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(body) = head.parse(bytes)? else {
            bail!("the answer has no end");
        };
        let status = head.code.context("the answer has no status")?;
        let is_it = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("set-cookie");
        let set_cookie = head.headers.iter().rfind(is_it);
        let set_cookie = set_cookie.map(|header| std::str::from_utf8(header.value)).transpose()?;
        let text = std::str::from_utf8(bytes.get(body..).unwrap_or_default())?;
        Ok(Self { status, set_cookie, text })
    }
}

/// How long the answer is that begins with these bytes; `None` if it is not all there.
fn length(bytes: &[u8]) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body) = head.parse(bytes)? else { return Ok(None) };
    let is_it = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
    let length = head.headers.iter().find(is_it).context("the answer does not say its length")?;
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some(body + length).filter(|whole| *whole <= bytes.len()))
}

impl Jar {
    fn follow(&mut self, set_cookie: &str) {
        let (cookie, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
        let is_end = |attribute: &str| attribute.trim().eq_ignore_ascii_case("max-age=0");
        if attributes.split(';').any(is_end) {
            self.0.clear();
        } else if self.0 != cookie {
            cookie.clone_into(&mut self.0);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A server that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// The apps answer with a number.
const ANSWER_MAX: usize = 8 << 10;

const HEADERS_MAX: usize = 16;
