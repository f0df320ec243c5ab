//! The lines of a client's log in a queue of their own.
//!
//! The binding has them come through the queue that is polled for messages. librdkafka 2.12.1 destroys what is outdated in that
//! queue with the queue locked, and may write a line about it: with the line bound for the same queue, the thread that
//! polls waits for itself for ever (`rd_kafka_op_filter`, `rd_kafka_toppar_remove`). So it was where a topic was not to be
//! read any more.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka_sys as sys;

/// The queue, which must go before its client does. A line that is written before a message is handed out is in it by then.
#[derive(Debug)]
pub(in crate::kafka) struct LogQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// There is something in it. librdkafka's threads say so.
    has_lines: Box<AtomicBool>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for LogQueue {}

extern "C" fn note(_client: *mut sys::rd_kafka_t, has_lines: *mut c_void) {
    // SAFETY: it is the flag of the queue, which switches this callback off before it goes.
    let has_lines = unsafe { &*has_lines.cast::<AtomicBool>() };
    has_lines.store(true, Ordering::Relaxed);
}

impl LogQueue {
    /// Has the lines of a client come here from now on; none where librdkafka will not.
    pub(in crate::kafka) fn of_client<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client lives as long as the borrow.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.native_ptr()) })?;
        // What is in it already, or comes before the callback is there, is found by the first look.
        let has_lines = Box::new(AtomicBool::new(true));
        let flag = std::ptr::from_ref(&*has_lines).cast_mut().cast();
        // SAFETY: client and queue live, and the flag lives as long as the callback is on.
        unsafe {
            sys::rd_kafka_set_log_queue(client.native_ptr(), queue.as_ptr());
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(note), flag);
        }
        Some(Self { queue, has_lines })
    }

    /// Takes the lines that are there, with their level and their facility.
    pub(in crate::kafka) fn each_line(&self, mut look: impl FnMut(RDKafkaLogLevel, &str, &str)) {
        if !self.has_lines.load(Ordering::Relaxed) {
            return;
        }
        self.has_lines.store(false, Ordering::Relaxed);
        loop {
            // SAFETY: the queue lives as long as `self`.
            let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), 0) };
            if event.is_null() {
                return;
            }
            let mut facility: *const c_char = std::ptr::null();
            let mut line: *const c_char = std::ptr::null();
            let mut level: c_int = 0;
            // SAFETY: the event was just taken; the texts end with a zero and live as long as it does.
            unsafe {
                let code = sys::rd_kafka_event_log(
                    event,
                    &raw mut facility,
                    &raw mut line,
                    &raw mut level,
                );
                if code == 0 && !facility.is_null() && !line.is_null() {
                    let facility = CStr::from_ptr(facility).to_string_lossy();
                    let line = CStr::from_ptr(line).to_string_lossy();
                    look(severity(level), &facility, line.trim_end());
                }
                sys::rd_kafka_event_destroy(event);
            }
        }
    }
}

/// A level of syslog's.
const fn severity(level: c_int) -> RDKafkaLogLevel {
    match level {
        ..=0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}

impl Drop for LogQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and nobody is called back once the callback is off.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn lines_come_through_the_queue_of_their_own() {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("group.id", "g")
            .set("bootstrap.servers", "127.0.0.1:1")
            .set("debug", "topic")
            .set_log_level(RDKafkaLogLevel::Debug)
            .create()
            .unwrap();
        let queue = LogQueue::of_client(consumer.client()).unwrap();
        let mut told = Vec::new();
        let mut look = |level, facility: &str, line: &str| {
            if matches!(level, RDKafkaLogLevel::Debug) {
                told.push(format!("{facility} {line}"));
            }
        };
        queue.each_line(&mut look);
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition("in", 3);
        consumer.assign(&list).unwrap();
        let begun = std::time::Instant::now();
        while !queue.has_lines.load(Ordering::Relaxed) && begun.elapsed().as_secs() < 30 {
            let _ = consumer.poll(std::time::Duration::from_millis(10));
        }
        queue.each_line(&mut look);
        assert!(told.iter().any(|line| line.contains("in [3]")), "{told:?}");
        drop(queue);
        drop(consumer);
    }
}
