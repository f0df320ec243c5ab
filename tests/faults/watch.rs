//! What a process shows of itself while it lives: whether its numbers add up, whether `/livez` is right, its memory and its
//! processor time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{get, sum};

/// What all processes of a row have shown.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) scrapes: usize,
    /// Of the largest process, in bytes.
    pub(crate) memory: u64,
    /// Of all processes together, in hundredths of a second.
    pub(crate) processor: u64,
    /// Where a promise was broken.
    pub(crate) broken: Vec<String>,
}

/// Looks at a process twice a second, until this is dropped.
pub(crate) struct Watch {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    end: AtomicBool,
    /// Stopped, or about to end: it owes no answer.
    excused: AtomicBool,
    /// Raised whenever the above changes.
    changes: AtomicUsize,
}

impl Watch {
    pub(crate) fn start(id: u32, address: SocketAddr, seen: Arc<Mutex<Seen>>) -> Self {
        let state = Arc::new(State::default());
        let thread = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || look(id, address, &state, &seen))
        };
        Self {
            state,
            thread: Some(thread),
        }
    }

    /// From now on it owes an answer, or none.
    pub(crate) fn excuse(&self, excused: bool) {
        self.state.excused.store(excused, Ordering::SeqCst);
        self.state.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.end.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(id: u32, address: SocketAddr, state: &State, seen: &Mutex<Seen>) {
    let mut answered = false;
    let mut processor = 0;
    while !state.end.load(Ordering::SeqCst) {
        if let Some(used) = used(id) {
            let mut seen = seen.lock().unwrap();
            seen.memory = seen.memory.max(used.memory);
            seen.processor += used.processor.saturating_sub(processor);
            processor = processor.max(used.processor);
        }
        let changes = state.changes.load(Ordering::SeqCst);
        let owes = !state.excused.load(Ordering::SeqCst);
        if owes {
            let alive = get(address, "/livez");
            let metrics = get(address, "/metrics");
            // An answer counts only where nothing was done to the process meanwhile.
            let undisturbed = changes == state.changes.load(Ordering::SeqCst)
                && !state.end.load(Ordering::SeqCst);
            if undisturbed {
                let mut seen = seen.lock().unwrap();
                match alive {
                    Ok((200, _)) => answered = true,
                    Ok(other) => seen.broken.push(format!("/livez of {id} said {other:?}")),
                    Err(error) if answered => {
                        seen.broken.push(format!("/livez of {id}: {error}"));
                    }
                    Err(_) => {}
                }
                if let Ok((200, page)) = metrics {
                    seen.scrapes += 1;
                    if let Err(numbers) = adds_up(&page) {
                        seen.broken.push(format!("numbers of {id}: {numbers}"));
                    }
                }
            }
        }
        for _ in 0..10 {
            if !state.end.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Holds the law of the metrics: what was received and not given back is settled or in flight.
fn adds_up(page: &str) -> Result<(), String> {
    let all = |name: &str| sum(page, &format!("trailtag_{name}"), &[]).unwrap_or_default();
    let (received, returned) = (all("records_received_total"), all("records_returned_total"));
    let (settled, in_flight) = (all("records_total"), all("records_in_flight"));
    // Whole numbers, which a float holds exactly.
    if (received - returned - settled - in_flight).abs() < 0.5 {
        Ok(())
    } else {
        Err(format!(
            "{received} received, {returned} returned, {settled} settled, {in_flight} in flight"
        ))
    }
}

struct Used {
    memory: u64,
    processor: u64,
}

/// What a process has used, as Linux tells it.
fn used(id: u32) -> Option<Used> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold spaces.
    let (_, numbers) = stat.rsplit_once(") ")?;
    let mut times = numbers
        .split(' ')
        .skip(11)
        .map_while(|time| time.parse::<u64>().ok());
    Some(Used {
        memory: kilobytes * 1024,
        processor: times.next()? + times.next()?,
    })
}

#[test]
fn numbers_that_do_not_add_up_are_seen() {
    let page = |in_flight: u32| {
        format!(
            "trailtag_records_received_total 10\ntrailtag_records_returned_total 2\n\
             trailtag_records_total{{result=\"ignored\"}} 4\ntrailtag_records_total{{result=\"matched\"}} 1\n\
             trailtag_records_in_flight {in_flight}\n"
        )
    };
    assert_eq!(adds_up(&page(3)), Ok(()));
    assert!(adds_up(&page(4)).is_err());
    assert!(adds_up(&page(2)).is_err());
}

#[test]
fn a_process_is_seen_to_use_something() {
    let used = used(std::process::id()).unwrap();
    assert!(used.memory > 1_000_000, "{}", used.memory);
}
