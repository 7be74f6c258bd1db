//! A slow link: a proxy of TCP connections on loopback whose two directions each have a width and a delay, shared by all
//! connections, as a laptop's link is. (It accepts at once, so the time to connect says nothing.)

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// What a router holds before it lets the sender wait: chunks.
const QUEUE: usize = 32;
const CHUNK: usize = 16 << 10;

pub struct Link {
    pub address: SocketAddr,
    shaped: Arc<Shaped>,
}

struct Shaped {
    /// Bytes a second.
    width: f64,
    /// One way.
    delay: Duration,
    /// When each direction is free again: to the server, to the client.
    free: [Mutex<Instant>; 2],
    /// When a client first answered what the server said: its TLS handshake was done.
    shaken: Mutex<Option<Instant>>,
}

impl Link {
    pub fn open(server: SocketAddr, width: f64, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let now = Instant::now();
        let free = [Mutex::new(now), Mutex::new(now)];
        let shaped = Arc::new(Shaped { width, delay, free, shaken: Mutex::default() });
        let theirs = Arc::clone(&shaped);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                pass(Arc::clone(&theirs), 0, client, server);
                pass(Arc::clone(&theirs), 1, server_too, client_too);
            }
        });
        Self { address, shaped }
    }

    /// When the first handshake since the last call was done.
    pub fn take_handshake(&self) -> Option<Instant> {
        self.shaped.shaken.lock().expect("the link").take()
    }
}

/// Carries one direction of a connection.
fn pass(shaped: Arc<Shaped>, direction: usize, mut from: TcpStream, mut to: TcpStream) {
    let (queue, arrivals) = mpsc::sync_channel::<(Instant, Vec<u8>)>(QUEUE);
    thread::spawn(move || {
        for (at, bytes) in arrivals {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let mut flights = 0;
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = from.read(&mut chunk).unwrap_or(0);
            if read == 0 {
                break;
            }
            chunk.truncate(read);
            let now = Instant::now();
            flights += 1;
            if direction == 0 && flights == 2 {
                shaped.shaken.lock().expect("the link").get_or_insert(now);
            }
            let through = {
                let mut free = shaped.free[direction].lock().expect("the link");
                *free = (*free).max(now) + Duration::from_secs_f64(read as f64 / shaped.width);
                *free
            };
            if queue.send((through + shaped.delay, chunk)).is_err() {
                break;
            }
        }
    });
}
