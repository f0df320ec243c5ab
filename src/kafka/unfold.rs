//! A message that becomes more than fits into one commit, part by part.
//!
//! Few messages do. One that does is copied, and unfolded once more on a thread of its own, from the first element that is
//! not done. The thread makes the next part while the worker commits the one before, and waits where the worker does not
//! ask: there are never more than two parts. It ends with the message, or when the worker forgets it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rdkafka::message::{Message, OwnedHeaders, OwnedMessage};

use super::headers::key_and_headers_size;
use super::place::{LeaderEpoch, Place};
use crate::model::Origin;
use crate::pipeline::{Outputs, Pipeline, Tally};

/// What some elements of a message became.
pub(super) struct MessagePart {
    pub(super) outputs: Outputs,
    pub(super) tally: Tally,
    /// Where the partition goes on behind it.
    pub(super) next: Place,
}

/// What [`Unfolding::part`] found.
pub(super) enum NextPart {
    Part(Box<MessagePart>),
    /// The next part is being made.
    NotYet,
    /// The thread failed.
    Lost,
}

/// A message on its way.
pub(super) struct Unfolding {
    pub(super) message: Arc<OwnedMessage>,
    /// The [`super::positions::Position::id`] of its partition.
    pub(super) position: u64,
    /// Where the next part begins.
    pub(super) at: Place,
    /// The leader epoch of the message.
    pub(super) epoch: LeaderEpoch,
    parts: mpsc::Receiver<MessagePart>,
}

impl Unfolding {
    /// Begins with the element that stands at `at`. A part has so many bytes, and one element at the least.
    pub(super) fn begin(
        message: OwnedMessage,
        position: u64,
        at: Place,
        epoch: LeaderEpoch,
        pipeline: Arc<Pipeline>,
        mut outputs: Outputs,
    ) -> std::io::Result<Self> {
        let message = Arc::new(message);
        let unfolded = Arc::clone(&message);
        // A part is handed over, never stored.
        let (ready, parts) = mpsc::sync_channel(0);
        outputs.done = at.elements;
        thread::Builder::new()
            .name("unfolding".to_owned())
            .spawn(move || unfold(&unfolded, &pipeline, outputs, &ready))?;
        Ok(Self {
            message,
            position,
            at,
            epoch,
            parts,
        })
    }

    /// The next part, if it comes within `wait`.
    pub(super) fn part(&mut self, wait: Duration) -> NextPart {
        match self.parts.recv_timeout(wait) {
            Ok(part) => {
                self.at = part.next;
                NextPart::Part(Box::new(part))
            }
            Err(RecvTimeoutError::Timeout) => NextPart::NotYet,
            Err(RecvTimeoutError::Disconnected) => NextPart::Lost,
        }
    }

    /// Whether the last part was taken.
    pub(super) fn is_done(&self) -> bool {
        self.at.offset > self.message.offset()
    }
}

fn unfold(
    message: &OwnedMessage,
    pipeline: &Pipeline,
    mut outputs: Outputs,
    ready: &mpsc::SyncSender<MessagePart>,
) {
    let origin = Origin {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
    };
    let headers = message.headers().map(OwnedHeaders::as_borrowed);
    outputs.letter_extra = key_and_headers_size(message.key(), headers);
    let part = |outputs: &mut Outputs, tally: &Tally, next| MessagePart {
        outputs: Outputs {
            documents: std::mem::take(&mut outputs.documents),
            dead_letters: std::mem::take(&mut outputs.dead_letters),
            ..Outputs::default()
        },
        tally: *tally,
        next,
    };
    let tally = pipeline.process_in_parts(
        message.payload().unwrap_or_default(),
        &origin,
        &mut outputs,
        &mut |outputs, tally, elements| {
            let offset = message.offset();
            match ready.send(part(outputs, tally, Place { offset, elements })) {
                Ok(()) => ControlFlow::Continue(()),
                // The worker has forgotten the message.
                Err(_) => ControlFlow::Break(()),
            }
        },
    );
    if outputs.interrupted_at.is_none() {
        let next = Place::at(message.offset() + 1);
        // An error means that nobody waits any more.
        let _ = ready.send(part(&mut outputs, &tally, next));
    }
}
