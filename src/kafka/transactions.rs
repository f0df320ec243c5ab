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
const LONGEST_CLOSE: Duration = Duration::from_secs(2);

/// What a transactional call's failure asks for.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// To call again.
    Again,
    /// To abort the transaction: the call was not made, since the consumer has no group yet.
    NoGroup,
    /// To abort the transaction.
    Abort(KafkaError),
    /// A new producer.
    Fatal(KafkaError),
    /// A new producer as well: this one did not come back.
    Hung,
}

fn classify(error: KafkaError) -> CallFailure {
    match &error {
        KafkaError::Transaction(inner) if inner.is_fatal() => CallFailure::Fatal(error),
        KafkaError::Transaction(inner) if inner.txn_requires_abort() => CallFailure::Abort(error),
        KafkaError::Transaction(inner) if inner.is_retriable() => CallFailure::Again,
        // The flush inside `commit_transaction` ran out of time.
        KafkaError::Flush(_) => CallFailure::Again,
        _ => CallFailure::Fatal(error),
    }
}

type Call<P> = Box<dyn FnOnce(&P) + Send>;

/// The thread that makes the calls of a producer, and the last to let go of it.
pub(super) struct TransactionThread<P> {
    /// None while it ends.
    calls: Option<mpsc::SyncSender<Call<P>>>,
    ended: mpsc::Receiver<()>,
    longest: Duration,
}

/// The process is not to end in the middle of a producer's end; one that hangs is not waited for.
impl<P> Drop for TransactionThread<P> {
    fn drop(&mut self) {
        self.calls = None;
        let _ = self.ended.recv_timeout(LONGEST_CLOSE);
    }
}

impl<P: Send + Sync + 'static> TransactionThread<P> {
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
    ) -> Result<(), CallFailure> {
        let (answer, answered) = mpsc::sync_channel(1);
        let call = Box::new(move |producer: &P| {
            // An error means that nobody waits any more.
            let _ = answer.send(call(producer));
        });
        let until = Instant::now() + self.longest;
        let sent = self.calls.as_ref().map(|calls| calls.try_send(call));
        if !matches!(sent, Some(Ok(()))) {
            return Err(CallFailure::Hung);
        }
        loop {
            match answered.recv_timeout(slice) {
                Ok(result) => return result.map_err(classify),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {
                    if idle().is_break() {
                        return Err(CallFailure::Again);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(CallFailure::Hung);
                }
            }
        }
    }
}

/// Makes a call again and again until it is answered with anything but [`CallFailure::Again`], or until `pause`, which comes
/// between two tries, breaks. Both are given `waiter`.
pub(super) fn retry<W: ?Sized, B>(
    waiter: &mut W,
    mut call: impl FnMut(&mut W) -> Result<(), CallFailure>,
    mut pause: impl FnMut(&mut W) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, CallFailure> {
    loop {
        match call(waiter) {
            Err(CallFailure::Again) => {}
            answered => return answered.map(ControlFlow::Continue),
        }
        if let ControlFlow::Break(why) = pause(waiter) {
            return Ok(ControlFlow::Break(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_is_made_on_what_it_is_for_and_answers() {
        let thread = TransactionThread::new(Arc::new(7)).unwrap();
        let mut idle = || ControlFlow::Continue(());
        let is_seven = |number: &i32| {
            assert_eq!(*number, 7);
            Ok(())
        };
        thread.call(is_seven, SLICE, &mut idle).unwrap();
        let failed = thread.call(|_| Err(KafkaError::Canceled), SLICE, &mut idle);
        assert!(matches!(
            failed,
            Err(CallFailure::Fatal(KafkaError::Canceled))
        ));
    }

    #[test]
    fn a_call_that_does_not_end_is_left_alone_when_told_to_and_given_up_at_last() {
        let mut thread = TransactionThread::new(Arc::new(())).unwrap();
        thread.longest = Duration::from_millis(50);
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let for_ever = move |(): &()| {
            let _ = ended.recv();
            Ok(())
        };
        let mut turns = 0;
        let failed = thread.call(for_ever, SLICE, &mut || {
            turns += 1;
            if turns == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(failed, Err(CallFailure::Again)));
        assert_eq!(turns, 3);
        let failed = thread.call(|()| Ok(()), SLICE, &mut || ControlFlow::Continue(()));
        assert!(matches!(failed, Err(CallFailure::Hung)));
        drop(end);
    }

    #[test]
    fn a_call_is_made_again_until_it_is_answered_or_the_pause_breaks() {
        let again = |calls: &mut u32| {
            *calls += 1;
            if *calls < 3 {
                Err(CallFailure::Again)
            } else {
                Ok(())
            }
        };
        let on = |_: &mut u32| ControlFlow::<()>::Continue(());
        let mut calls = 0;
        let answered = retry(&mut calls, again, on).unwrap();
        assert_eq!((answered, calls), (ControlFlow::Continue(()), 3));
        let mut calls = 0;
        let broken = retry(&mut calls, again, |_| ControlFlow::Break("stop")).unwrap();
        assert_eq!((broken, calls), (ControlFlow::Break("stop"), 1));
        let refused = retry(
            &mut (),
            |()| Err(CallFailure::NoGroup),
            |()| ControlFlow::<()>::Continue(()),
        );
        assert!(matches!(refused, Err(CallFailure::NoGroup)));
    }
}
