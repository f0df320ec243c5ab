//! Transactional calls, on a thread of their own.
//!
//! Each takes a timeout, and `rd_kafka_send_offsets_to_transaction` does not keep to it: where the group's coordinator is
//! gone it may wait for ever (confluentinc/librdkafka#5456 and #5511). The worker has to say meanwhile that it lives, to
//! stay in its group and to stop when it is told to. So it waits here, and gives up a call that does not end together
//! with its producer. A new one with the same transactional id fences that one: whatever it still does comes to nothing.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};

/// How long a call is waited for. Its own timeout is a third of that.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a producer may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a transactional call's failure asks for.
#[derive(Debug)]
pub(super) enum Failed {
    /// To call again.
    Again,
    /// To abort the transaction.
    Abort(KafkaError),
    /// A new producer.
    Fatal(KafkaError),
    /// A new producer as well: this one did not come back.
    Hung,
}

fn classify(error: KafkaError) -> Failed {
    match &error {
        KafkaError::Transaction(inner) if inner.is_fatal() => Failed::Fatal(error),
        KafkaError::Transaction(inner) if inner.txn_requires_abort() => Failed::Abort(error),
        KafkaError::Transaction(inner) if inner.is_retriable() => Failed::Again,
        // The flush inside `commit_transaction` ran out of time.
        KafkaError::Flush(_) => Failed::Again,
        _ => Failed::Fatal(error),
    }
}

type Call<P> = Box<dyn FnOnce(&P) + Send>;

/// The thread that makes the calls of a producer, and the last to let go of it.
pub(super) struct Caller<P> {
    /// None while it ends.
    calls: Option<mpsc::SyncSender<Call<P>>>,
    ended: mpsc::Receiver<()>,
    longest: Duration,
}

/// The process is not to end in the middle of a producer's end; one that hangs is not waited for.
impl<P> Drop for Caller<P> {
    fn drop(&mut self) {
        self.calls = None;
        let _ = self.ended.recv_timeout(FAREWELL);
    }
}

impl<P: Send + Sync + 'static> Caller<P> {
    pub(super) fn new(producer: Arc<P>) -> io::Result<Self> {
        // One is made, and one may wait behind one that was left alone.
        let (calls, queue) = mpsc::sync_channel::<Call<P>>(1);
        let (end, ended) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("transactions".to_owned())
            .spawn(move || {
                for call in queue {
                    call(&producer);
                }
                drop(producer);
                let _ = end.send(());
            })?;
        Ok(Self {
            calls: Some(calls),
            ended,
            longest: LONGEST,
        })
    }

    /// Makes a call and waits for its end, with a turn of `idle` after each `slice` of the wait. Where that breaks, the
    /// call is left alone and to be made again.
    pub(super) fn call(
        &self,
        call: impl FnOnce(&P) -> KafkaResult<()> + Send + 'static,
        slice: Duration,
        idle: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Failed> {
        let (answer, answered) = mpsc::sync_channel(1);
        let call = Box::new(move |producer: &P| {
            // An error means that nobody waits any more.
            let _ = answer.send(call(producer));
        });
        let until = Instant::now() + self.longest;
        let sent = self.calls.as_ref().map(|calls| calls.try_send(call));
        if !matches!(sent, Some(Ok(()))) {
            return Err(Failed::Hung);
        }
        loop {
            match answered.recv_timeout(slice) {
                Ok(result) => return result.map_err(classify),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {
                    if idle().is_break() {
                        return Err(Failed::Again);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Failed::Hung);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_is_made_on_what_it_is_for_and_answers() {
        let caller = Caller::new(Arc::new(7)).unwrap();
        let mut idle = || ControlFlow::Continue(());
        let is_seven = |number: &i32| {
            assert_eq!(*number, 7);
            Ok(())
        };
        caller.call(is_seven, SLICE, &mut idle).unwrap();
        let failed = caller.call(|_| Err(KafkaError::Canceled), SLICE, &mut idle);
        assert!(matches!(failed, Err(Failed::Fatal(KafkaError::Canceled))));
    }

    #[test]
    fn a_call_that_does_not_end_is_left_alone_when_told_to_and_given_up_at_last() {
        let mut caller = Caller::new(Arc::new(())).unwrap();
        caller.longest = Duration::from_millis(50);
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let for_ever = move |(): &()| {
            let _ = ended.recv();
            Ok(())
        };
        let mut turns = 0;
        let failed = caller.call(for_ever, SLICE, &mut || {
            turns += 1;
            if turns == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(failed, Err(Failed::Again)));
        assert_eq!(turns, 3);
        let failed = caller.call(|()| Ok(()), SLICE, &mut || ControlFlow::Continue(()));
        assert!(matches!(failed, Err(Failed::Hung)));
        drop(end);
    }
}
