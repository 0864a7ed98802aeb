//! A second server of the host, which answers with the `Cookie` header it was sent. Cookies know hosts,
//! not ports: what comes here is what `cloakroom serve` gets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

pub struct Echo {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let ending = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if asked.load(Relaxed) {
                    return;
                }
                // The browser also opens connections that it does not use.
                thread::spawn(move || answer(&stream));
            }
        });
        Self { address, ending, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: &TcpStream) -> Option<()> {
    let head = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    let cookies = head.iter().find_map(|line| line.strip_prefix("Cookie: ")).unwrap_or("none");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{cookies}",
        cookies.len()
    )
    .ok()
}
