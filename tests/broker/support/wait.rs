//! Waiting for a condition, and names and ports that nobody else has.

use std::fmt::Display;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a test waits for what normally takes seconds: long enough for a machine that is busy with a build.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Looks again and again until `look` gives what it looks for. What it gives as an error is what it saw instead.
///
/// # Panics
/// When `deadline` has passed: with `what`, and with what was seen last.
pub(crate) fn wait_until<T, Seen: Display>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, Seen>,
) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > deadline => {
                panic!("waited {deadline:?} until {what}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// `name` with an end that no other test, process or run uses.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:x}-{:x}-{count}", std::process::id(), now())
}

/// A port of 127.0.0.1 on which nothing listens.
///
/// It lies below the range from which systems take the ports of outgoing connections, of which tests open many; and no
/// two calls in this process give the same one.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_240;
    const COUNT: u16 = 20_000;
    // Two test processes begin at different places.
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(u64::from(std::process::id()) * 7919 + now()));
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT);
        let port = FIRST + u16::try_from(step).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
