//! A counter over plain HTTP, in threads, without a framework.
//!
//! ```text
//! cargo run -p cloakroom-web --example plain -- 127.0.0.1:8080
//! curl -b jar -c jar http://127.0.0.1:8080/count
//! ```

use std::env;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use cloakroom::FileStore;
use cloakroom::blocking::wait;
use cloakroom_web::{Arrival, LazySession, SessionManager, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let directory = env::args().nth(2).unwrap_or_else(|| "sessions".to_owned());
    // A real application has its key from outside: all its processes need the same one.
    let secret =
        env::var("SECRET_KEY").unwrap_or_else(|_| "for trying out only, not a secret".to_owned());
    let settings = Settings::new(secret).plain_http();
    let manager = SessionManager::new(FileStore::open(directory)?, settings)?;

    let listener = TcpListener::bind(address)?;
    println!("http://{}/count", listener.local_addr()?);
    for stream in listener.incoming() {
        let manager = manager.clone();
        thread::spawn(move || stream.and_then(|stream| serve(&manager, stream)));
    }
    Ok(())
}

/// One request of one connection.
fn serve(manager: &SessionManager<FileStore>, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let peer = stream.peer_addr().map(|peer: SocketAddr| peer.ip()).ok();
    let mut lines = BufReader::new(stream.try_clone()?.take(64 << 10)).split(b'\n');
    let first = lines.next().transpose()?.unwrap_or_default();
    let first = String::from_utf8_lossy(&first).into_owned();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut cookies = Vec::new();
    for line in lines {
        let line = line?;
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        if line.get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"cookie:")) {
            cookies.extend(line.get(7..).map(<[u8]>::to_vec));
        }
    }

    let arrival = Arrival::new().cookies(cookies.iter().map(Vec::as_slice)).peer(peer);
    let visit = manager.begin(arrival.route(format!("GET {path}")));
    let (mut status, mut body) = match handle(path, &visit.session()) {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("{error}");
            (error.status(), error.message().to_owned())
        }
    };
    let departure = wait(visit.finish(status));
    if let Err(error) = departure.saved {
        eprintln!("{error}");
        (status, body) = (error.status(), error.message().to_owned());
    }

    write!(stream, "HTTP/1.1 {status} \r\nContent-Type: text/plain; charset=utf-8\r\n")?;
    for cookie in departure.cookies {
        write!(stream, "Set-Cookie: {cookie}\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn handle(path: &str, session: &LazySession) -> Result<(u16, String), cloakroom_web::Error> {
    match path {
        "/count" => {
            let session = wait(session.open())?;
            let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
            Ok((200, count.to_string()))
        }
        "/reset" => {
            wait(wait(session.open())?.destroy())?;
            Ok((200, "Reset".to_owned()))
        }
        _ => Ok((404, "Not found".to_owned())),
    }
}
