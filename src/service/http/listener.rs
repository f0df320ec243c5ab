//! Accepts connections and answers one request on each, on a thread of its own.
//!
//! A socket goes in, and answers leave until the service is done. Whoever connects may be slow, silent or many, by mistake
//! or on purpose; the probes must be answered all the same, or Kubernetes restarts the process. So a request has to come,
//! and to be answered, within a time; connections are fewer than descriptors, since Kafka's sockets and files need most of
//! them; and the newest connection always gets in ([`Connections`]). Nothing that the rest of the process does, such as
//! compiling rules, keeps this thread.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use openssl::ssl::{Ssl, SslAcceptor};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use super::connections::{Connections, Seat};
use super::credentials::Credentials;
use super::{Pages, router};

/// How long a connection has for the TLS handshake and the whole header of its request.
const HEADERS: Duration = Duration::from_secs(10);

/// How long a request has from then on, until the last byte of the answer is taken.
const REQUEST: Duration = Duration::from_secs(30);

/// How long requests that are being answered may go on when the service is done.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The longest header of a request. Prometheus and the kubelet send less than 1 KB.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How long to wait where a connection cannot be accepted and none can be closed for it.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the log says that there are too many connections.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// How many connections the kernel may hold until they are accepted. It keeps to `net.core.somaxconn`, 4096 unless set
/// otherwise; beyond it a client's first packet is dropped, and comes again after a second.
const BACKLOG: u32 = 4096;

/// Takes the address.
pub(in crate::service) fn bind(address: &str) -> io::Result<TcpListener> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // After a restart the connections of the one before do not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the pages on a thread of its own until `done`. The receiver learns when it has ended.
pub(in crate::service) fn start(
    listener: TcpListener,
    pages: Pages,
    credentials: watch::Receiver<Credentials>,
    done: CancellationToken,
) -> io::Result<oneshot::Receiver<()>> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("pages".to_owned())
        .spawn(move || {
            let served = runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                serve(listener, pages, credentials, done).await;
                Ok::<_, io::Error>(())
            });
            if let Err(error) = served {
                error!(%error, "the HTTP server cannot start");
            }
            // An error means that nobody waits any more.
            let _ = ended.send(());
        })?;
    Ok(end)
}

/// How many connections may be open: a quarter of the descriptors that this process may have. 256 are enough for any number
/// of those who scrape and probe, and bound the memory.
fn max_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    let quarter = descriptors.map_or(u64::MAX, |descriptors| descriptors / 4);
    usize::try_from(quarter.clamp(8, 256)).unwrap_or(8)
}

async fn serve(
    listener: TcpListener,
    pages: Pages,
    credentials: watch::Receiver<Credentials>,
    done: CancellationToken,
) {
    let max = max_connections();
    let connections = Connections::new(max);
    let router = router(pages, credentials.clone());
    let tasks = TaskTracker::new();
    let mut crowd = Crowd::default();
    loop {
        let accepted = tokio::select! {
            () = done.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                not_accepted(&error, &connections, &mut crowd).await;
                continue;
            }
        };
        let (seat, closes) = connections.admit();
        if closes && crowd.is_news() {
            warn!(
                connections = max,
                "more connections to http.listen than are allowed at once; each new one closes the oldest that \
                 has not sent a complete request"
            );
        }
        let acceptor = credentials
            .borrow()
            .certificate
            .as_ref()
            .map(|certificate| certificate.acceptor().clone());
        tasks.spawn(attend(stream, seat, router.clone(), acceptor));
        // Those who are in get a turn before the next one may take the place of one of them.
        tokio::task::yield_now().await;
    }
    drop(listener);
    connections.close_idle();
    tasks.close();
    // Who does not take its answer is not waited for.
    let _ = timeout(LAST_ANSWERS, tasks.wait()).await;
}

/// Waits until the next try makes sense.
async fn not_accepted(error: &io::Error, connections: &Connections, crowd: &mut Crowd) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if let ConnectionAborted | ConnectionReset | Interrupted = error.kind() {
        // That one is gone; the next is another.
        return;
    }
    let lacks_descriptors = matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    );
    let closed = lacks_descriptors && connections.close_one();
    if crowd.is_news() {
        warn!(
            %error,
            "a connection to http.listen cannot be accepted; allow this process more open files (ulimit -n)"
        );
    }
    if closed {
        tokio::task::yield_now().await;
    } else {
        sleep(PAUSE).await;
    }
}

/// When the log last said that there are too many.
#[derive(Default)]
struct Crowd(Option<Instant>);

impl Crowd {
    fn is_news(&mut self) -> bool {
        let is_news = self.0.is_none_or(|said| said.elapsed() > SAID_EVERY);
        if is_news {
            self.0 = Some(Instant::now());
        }
        is_news
    }
}

async fn attend(stream: TcpStream, seat: Seat, router: Router, acceptor: Option<SslAcceptor>) {
    tokio::select! {
        () = seat.closed() => debug!("a connection was closed to make room, or for the stop"),
        () = converse(stream, &seat, router, acceptor) => {}
    }
}

async fn converse(stream: TcpStream, seat: &Seat, router: Router, acceptor: Option<SslAcceptor>) {
    let headers_by = Instant::now() + HEADERS;
    let Some(acceptor) = acceptor else {
        return answer(stream, seat, router, headers_by).await;
    };
    match timeout_at(headers_by, handshake(&acceptor, stream)).await {
        Ok(Ok(stream)) => answer(stream, seat, router, headers_by).await,
        Ok(Err(error)) => debug!(%error, "no TLS connection"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

async fn handshake(
    acceptor: &SslAcceptor,
    stream: TcpStream,
) -> Result<SslStream<TcpStream>, openssl::ssl::Error> {
    let ssl = Ssl::new(acceptor.context())?;
    let mut stream = SslStream::new(ssl, stream)?;
    Pin::new(&mut stream).accept().await?;
    Ok(stream)
}

/// Answers the one request of a connection. Who asks again connects again: what is open is then always somebody who waits.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seat: &Seat,
    router: Router,
    headers_by: Instant,
) {
    let pages = TowerToHyperService::new(router);
    let page = service_fn(|request: hyper::Request<Incoming>| {
        seat.requested();
        pages.call(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(MAX_HEADER_BYTES)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), page)
    );
    let ended = match timeout_at(headers_by, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => match seat.request_at() {
            None => return debug!("the header of a request took too long"),
            Some(request_at) => match timeout_at(request_at + REQUEST, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!("a request took too long"),
            },
        },
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// Answers one connection by a clock that stands still while anybody has something to do. Gives how many seconds
    /// the connection lasted. What the client gives back stays open until then.
    async fn lasts<T>(client: impl AsyncFnOnce(DuplexStream) -> T) -> u64 {
        let router = Router::new().route("/", get(async || "x".repeat(100_000)));
        let (ours, theirs) = tokio::io::duplex(64);
        let (seat, _) = Connections::new(1).admit();
        let begun = Instant::now();
        let server = async {
            answer(ours, &seat, router, begun + HEADERS).await;
            begun.elapsed().as_secs()
        };
        tokio::join!(server, client(theirs)).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_has_ten_seconds() {
        let client = async |mut stream: DuplexStream| {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        };
        assert_eq!(lasts(client).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_comes_byte_by_byte_has_ten_seconds() {
        let client = async |mut stream: DuplexStream| {
            stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        assert_eq!(lasts(client).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_has_thirty_seconds() {
        let client = async |mut stream: DuplexStream| {
            sleep(Duration::from_secs(9)).await;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            stream.read_exact(&mut [0; 500]).await.unwrap();
            stream
        };
        assert_eq!(lasts(client).await, 9 + 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_its_answer_whole() {
        let client = async |mut stream: DuplexStream| {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut part).await {
                answer.extend_from_slice(&part[..length]);
                sleep(Duration::from_millis(12)).await;
            }
            assert!(answer.len() > 100_000, "{} bytes", answer.len());
        };
        let lasted = lasts(client).await;
        assert!((11..30).contains(&lasted), "{lasted} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_beyond_the_limit_is_refused_at_once() {
        let client = async |stream: DuplexStream| {
            let (mut from, mut to) = tokio::io::split(stream);
            let endless = async {
                let _ = to.write_all(b"GET / HTTP/1.1\r\nX: ").await;
                while to.write_all(b"xxxxxxxx").await.is_ok() {}
                std::future::pending::<()>().await;
            };
            let mut answer = [0; 12];
            tokio::select! {
                () = endless => {}
                read = from.read_exact(&mut answer) => assert_eq!(read.unwrap(), 12),
            }
            assert_eq!(&answer, b"HTTP/1.1 431");
        };
        assert_eq!(lasts(client).await, 0);
    }
}
