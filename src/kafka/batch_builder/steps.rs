//! Messages of the topic of steps: each is folded at once, and what it completes is a document like any other.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};
use tracing::{info, warn};

use super::{Batch, Refused, SourceMessage};
use crate::finding::Step;
use crate::kafka::context::WorkerContext;
use crate::kafka::ffi;
use crate::kafka::place::Place;
use crate::kafka::positions::Position;
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::pipeline::{Outputs, Pipeline, Tally};
use crate::telemetry::metrics::{Dropped, ResetReason};

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
    let before = position.pending;
    let read = message.payload().map(serde_json::from_slice::<Step>);
    let mut tally = Tally::default();
    outputs.bytes = 0;
    let completed = match (&read, &mut position.steps) {
        (Some(Ok(step)), Some(steps)) => steps.step(step, offset),
        _ => Vec::new(),
    };
    let dropped = position.steps.as_mut().map_or(0, |steps| steps.dropped());
    if was_settled {
        position.read(Place::at(offset + 1), epoch, &tally);
        say_rebuilt(position, context);
        return;
    }
    say_rebuilt(position, context);
    if dropped > 0 {
        context.metrics.steps_dropped(Dropped::TooMany, dropped);
    }
    for sequence in &completed {
        if let Some(level) = pipeline.complete(sequence, outputs) {
            tally.sequence(sequence.kind);
            tally.finding(level);
        }
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

/// Whether a message under this leader epoch cannot be one that was settled: another leader wrote it since.
fn is_new(position: &Position, epoch: Option<i32>) -> bool {
    matches!((epoch, position.settled_epoch), (Some(new), Some(settled)) if new > settled)
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
    position.was_cut_at(offset);
}

fn say_rebuilt(position: &mut Position, context: &WorkerContext) {
    if position.is_remembering() {
        return;
    }
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
