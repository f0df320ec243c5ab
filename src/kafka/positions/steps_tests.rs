//! Positions in the topic of steps, which is read again from before what is settled.

use super::tests::{one_ignored, start};
use super::*;
use crate::config;

/// A partition of the topic of steps, of which nothing is remembered yet.
fn of_steps(start: &Start) -> Position {
    let steps = StepLog::new(&config::Sequences::default(), start);
    let mut positions = Positions::default();
    positions.begin("steps", 0, start, Some(Box::new(steps)));
    positions.list.remove(0)
}

/// Reads a message of the topic of steps, one an hour, as the worker does.
fn read_step(position: &mut Position, offset: i64, epoch: i32) {
    let arrival = offset * 3_600_000;
    let text = format!(
        r#"{{"group":{{"by":"profile","account":"1","of":"web"}},"event_id":"{offset}","event_time":{arrival},"arrival":{arrival},"event_name":"DeleteInstanceProfile","outcome":"success","source":{{"topic":"t","partition":0,"offset":{offset},"index":0}}}}"#
    );
    let step = serde_json::from_str(&text).unwrap();
    position.steps.as_mut().unwrap().step(&step, offset);
    position.read(Place::at(offset + 1), Some(epoch), &Tally::default());
}

/// Where it is taken up again, what was remembered is read before, and nothing of that is settled or given back.
#[test]
fn a_partition_of_steps_begins_where_what_it_remembers_begins() {
    let position = &mut of_steps(&Start {
        remembered_from: Some(17),
        epoch: Some(4),
        ..start(20)
    });
    assert_eq!(position.reached(), (Place::at(17), None));
    assert_eq!(position.settled, Place::at(20));
    for offset in 17..20 {
        assert!(position.is_remembering());
        read_step(position, offset, 4);
        assert_eq!(position.settle(), Tally::default());
        assert_eq!(position.rewind_to_settled(), Tally::default());
        assert_eq!(position.reached().0, Place::at(offset + 1));
        assert_eq!(position.settled, Place::at(20));
    }
    assert!(!position.is_remembering());
    assert!(!position.rewound, "it is where it goes on");
    read_step(position, 20, 4);
    position.settle();
    assert_eq!(position.settled, Place::at(21));
}

#[test]
fn a_rewind_goes_back_to_what_was_remembered_there() {
    let position = &mut of_steps(&start(0));
    for offset in 0..10 {
        read_step(position, offset, 3);
    }
    position.settle();
    read_step(position, 10, 4);
    read_step(position, 11, 4);
    position.rewind_to_settled();
    assert!(position.rewound);
    // An hour and a quarter of steps is remembered: one before the last, and one more to be sure.
    assert_eq!(position.go_back(), (7, None));
    assert_eq!(position.steps.as_ref().unwrap().steps(), 0);
    assert!(position.steps.as_ref().unwrap().is_rebuilding());
    assert_eq!(position.remember_until, Place::at(10));
    assert_eq!(position.remember_epoch, Some(3));
    assert_eq!(position.settled, Place::at(10));
    for offset in 7..10 {
        assert!(position.is_remembering());
        read_step(position, offset, 3);
    }
    assert!(!position.is_remembering());
    // Two: that of the last hour, and the last.
    assert_eq!(position.steps.as_ref().unwrap().steps(), 2);
}

/// Without a transaction, what was delivered stands, also before its offsets are committed.
#[test]
fn a_rewind_to_what_was_delivered_remembers_up_to_there() {
    let position = &mut of_steps(&start(0));
    for offset in 0..5 {
        read_step(position, offset, 3);
    }
    position.settle();
    for offset in 5..9 {
        // Another leader writes the log on.
        position.pending.add(&one_ignored());
        read_step(position, offset, 4);
    }
    let before = Tally {
        ignored: 2,
        ..Tally::default()
    };
    assert_eq!(position.rewind(Place::at(7), Some(4), &before).ignored, 2);
    assert_eq!(position.go_back(), (2, None));
    assert_eq!(position.remember_until, Place::at(7));
    assert_eq!(
        position.remember_epoch,
        Some(4),
        "messages of the later leader were read before the place, and are not new"
    );
    for offset in 2..7 {
        assert_eq!(position.settle(), Tally::default());
        read_step(position, offset, 4);
    }
    assert_eq!(position.settle(), before);
    assert_eq!(position.settled, Place::at(7));
}

#[test]
fn where_nothing_is_remembered_a_rewind_rebuilds_nothing() {
    let position = &mut of_steps(&start(5));
    read_step(position, 5, 3);
    position.rewind_to_settled();
    assert_eq!(position.go_back(), (5, None));
    assert!(!position.is_remembering());
    assert!(!position.steps.as_ref().unwrap().is_rebuilding());
}

#[test]
fn a_log_that_was_cut_is_new_from_there_on() {
    let position = &mut of_steps(&Start {
        remembered_from: Some(15),
        epoch: Some(4),
        ..start(20)
    });
    read_step(position, 15, 4);
    // The next message is of a later leader, and so of another log.
    assert_eq!(position.was_cut_at(16), Tally::default());
    assert!(!position.is_remembering());
    assert_eq!(
        (position.settled, position.settled_epoch),
        (Place::at(16), Some(4))
    );
    read_step(position, 16, 5);
    position.settle();
    assert_eq!(position.settled, Place::at(17));

    // What was delivered without a commit is given back, since it is read again.
    let position = &mut of_steps(&start(0));
    position.read(Place::at(3), Some(1), &one_ignored());
    assert_eq!(position.was_cut_at(2), one_ignored());
    assert_eq!(position.settled, Place::at(0));
    assert_eq!(position.settle(), Tally::default());
}
