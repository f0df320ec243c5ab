//! Messages of the topic of steps: each is folded at once, and what it completes is a document like any other.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};
use tracing::{info, warn};

use super::{Batch, Refused, SourceMessage};
use crate::finding::{Sequence, Step};
use crate::kafka::context::WorkerContext;
use crate::kafka::ffi;
use crate::kafka::place::Place;
use crate::kafka::positions::Position;
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::pipeline::{Outputs, Pipeline, Tally};
use crate::telemetry::metrics::ResetReason;

/// Takes a message of the topic of steps. One that was settled before is remembered, and nothing else.
pub(super) fn add(
    message: &BorrowedMessage<'_>,
    position: &mut Position,
    pipeline: &Pipeline,
    context: &WorkerContext,
    outputs: &mut Outputs,
    batch: &mut Batch,
    refused: &BTreeMap<(u64, i64), Vec<Refused>>,
) {
    let offset = message.offset();
    let epoch = ffi::leader_epoch(message);
    if offset < position.remember_until.offset && is_new(position, epoch) {
        cut(position, offset, context);
    }
    let was_settled = offset < position.remember_until.offset;
    if !was_settled {
        say_rebuilt(position, context);
    }
    let before = position.pending;
    let read = message.payload().map(serde_json::from_slice::<Step>);
    let mut tally = Tally::default();
    outputs.bytes = 0;
    let completed = match (&read, &mut position.steps) {
        (Some(Ok(step)), Some(steps)) => steps.step(step, offset),
        _ => Vec::new(),
    };
    if was_settled {
        position.read(Place::at(offset + 1), epoch, &tally);
        if !position.is_remembering() {
            say_rebuilt(position, context);
        }
        return;
    }
    for sequence in &completed {
        complete(sequence, pipeline, outputs, &mut tally);
    }
    if let Some(Err(error)) = read {
        tally.dead_letter(Reason::InvalidJson);
        outputs.dead_letters.push(DeadLetter {
            reason: Reason::InvalidJson,
            error: format!("not a step of a sequence: {error}"),
            index: None,
            payload: message.payload().unwrap_or_default().to_vec(),
        });
    }
    let refused = refused.get(&(position.id, offset));
    let source = SourceMessage {
        message,
        headers: message.headers(),
        position: position.id,
        place: Place::at(offset),
        epoch,
        before,
        shared: OnceCell::new(),
    };
    source.keep(outputs, &mut tally, refused, context, batch);
    batch.messages += 1;
    batch.begun.get_or_insert_with(Instant::now);
    let bytes = message.payload_len();
    let records = tally.records();
    batch
        .unreported
        .add(&context.metrics, message.topic(), bytes, records);
    position.read(Place::at(offset + 1), epoch, &tally);
}

/// Writes the documents of a sequence, and counts it; as with any record, one of which a document does not fit its topic
/// counts as a dead letter alone.
fn complete(sequence: &Sequence, pipeline: &Pipeline, outputs: &mut Outputs, tally: &mut Tally) {
    let before = outputs.dead_letters.len();
    let Some(level) = pipeline.complete(sequence, outputs) else {
        return;
    };
    if outputs.dead_letters.len() == before {
        tally.sequence(sequence.kind);
        tally.finding(level);
    }
    for letter in outputs.dead_letters.iter().skip(before) {
        tally.dead_letter(letter.reason);
    }
}

/// Whether a message under this leader epoch cannot be one that was settled: another leader wrote it since.
fn is_new(position: &Position, epoch: Option<i32>) -> bool {
    matches!((epoch, position.remember_epoch), (Some(new), Some(settled)) if new > settled)
}

/// The log is not what it was when its offset was committed: from here on it is new.
fn cut(position: &mut Position, offset: i64, context: &WorkerContext) {
    context.metrics.offset_reset(ResetReason::Truncated);
    warn!(
        topic = position.topic,
        partition = position.partition,
        reason = ResetReason::Truncated.as_str(),
        committed = position.settled.offset,
        goes_on_at = offset,
        "the log of steps was truncated: steps that were read are gone, and new ones take their offsets"
    );
    let returned = position.was_cut_at(offset);
    context.metrics.returned(&returned);
}

/// Says once, when all is read again, how that went.
fn say_rebuilt(position: &mut Position, context: &WorkerContext) {
    if let Some(steps) = &mut position.steps
        && let Some(rebuilt) = steps.rebuilt()
    {
        context.metrics.rebuilt(rebuilt.took);
        info!(
            topic = position.topic,
            partition = position.partition,
            read = rebuilt.steps,
            remembered = steps.steps(),
            seconds = rebuilt.took.as_secs_f64(),
            "the steps of sequences are remembered again"
        );
    }
}
