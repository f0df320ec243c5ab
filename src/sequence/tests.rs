use std::time::Duration;

use proptest::prelude::*;

use super::State;
use crate::config::Sequences;
use crate::finding::{Group, GroupedBy, Sequence, Step, StepSource};
use crate::model::Outcome;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn step(by: GroupedBy, of: &str, name: &str, id: &str, at: i64) -> Step {
    Step {
        group: Group {
            by,
            account: "111122223333".to_owned(),
            of: of.to_owned(),
        },
        event_id: id.to_owned(),
        event_time: at,
        arrival: at,
        event_name: name.to_owned(),
        outcome: Outcome::Success,
        profile: Some("web".to_owned()),
        role: Some("web-role".to_owned()),
        privileged_role: None,
        actor: Some("eve".to_owned()),
        principal: Some("eve".to_owned()),
        address: None,
        allow_listed: false,
        service: false,
        source: StepSource {
            topic: "cloudtrail".to_owned(),
            partition: 0,
            offset: 0,
            index: 0,
        },
        record: None,
    }
}

fn of_profile(name: &str, role: &str, id: &str, at: i64) -> Step {
    Step {
        role: Some(role.to_owned()),
        ..step(GroupedBy::Profile, "web", name, id, at)
    }
}

fn removal(role: &str, id: &str, at: i64) -> Step {
    of_profile("RemoveRoleFromInstanceProfile", role, id, at)
}

fn addition(role: &str, id: &str, at: i64) -> Step {
    of_profile("AddRoleToInstanceProfile", role, id, at)
}

fn settings() -> Sequences {
    Sequences::default()
}

/// What steps complete, in short: the kind and the ids.
fn told(steps: &[Step]) -> Vec<String> {
    let mut state = State::new(&settings());
    let all = steps.iter().flat_map(|step| state.step(step));
    all.map(|sequence| short(&sequence)).collect()
}

fn short(sequence: &Sequence) -> String {
    let ids: Vec<&str> = sequence
        .steps
        .iter()
        .map(|it| it.event_id.as_str())
        .collect();
    format!("{} {}", sequence.kind.as_str(), ids.join(" "))
}

#[test]
fn a_chain_of_swaps_is_told_link_by_link_even_within_one_second() {
    for gap in [0, 1, MINUTE] {
        let chain = [
            removal("a", "1", 0),
            addition("b", "2", gap),
            removal("b", "3", 2 * gap),
            addition("c", "4", 3 * gap),
        ];
        let both = ["role_swap 1 2", "role_swap 3 4"];
        let mut found = told(&chain);
        if gap > 0 {
            assert_eq!(found, both, "{gap}");
        } else {
            // Of one second nobody knows the order; that the last role came in is told.
            found.sort();
            assert!(
                found.contains(&both[0].to_owned()) && found.contains(&both[1].to_owned()),
                "{found:?}"
            );
        }
    }
}

#[test]
fn within_one_second_nothing_is_settled_by_a_guess() {
    assert_eq!(
        told(&[removal("a", "1", 0), addition("a", "2", 0)]),
        [""; 0]
    );
    assert_eq!(
        told(&[removal("a", "1", 0), addition("a", "2", 1)]),
        ["role_restored 1 2"]
    );
    let deleted = Step {
        role: None,
        ..of_profile("DeleteInstanceProfile", "", "2", 0)
    };
    assert_eq!(
        told(&[removal("a", "1", 0), deleted]),
        ["profile_deleted 1 2"]
    );
}

#[test]
fn what_a_step_does_not_say_is_neither_the_same_nor_another() {
    let nameless = Step {
        role: None,
        ..addition("", "2", 1)
    };
    assert_eq!(told(&[removal("a", "1", 0), nameless]), [""; 0]);
    let nobody = |step: Step| Step {
        principal: None,
        ..step
    };
    let deleted = nobody(of_profile("DeleteInstanceProfile", "a", "2", 1));
    assert_eq!(told(&[nobody(removal("a", "1", 0)), deleted]), [""; 0]);
}

#[test]
fn of_two_removals_in_a_row_the_second_has_what_follows() {
    assert_eq!(
        told(&[
            removal("a", "1", 0),
            removal("b", "2", 5),
            addition("c", "3", 6)
        ]),
        ["role_swap 2 3"]
    );
    // Also where the first comes last,
    assert_eq!(
        told(&[
            removal("b", "2", 5),
            addition("c", "3", 6),
            removal("a", "1", 0)
        ]),
        ["role_swap 2 3"]
    );
    // and what comes between two steps takes nothing back that was said.
    assert_eq!(
        told(&[
            removal("a", "1", 0),
            addition("c", "3", 6),
            removal("b", "2", 5)
        ]),
        ["role_swap 1 3", "role_swap 2 3"]
    );
}

#[test]
fn a_step_is_forgotten_when_one_arrives_too_long_after_it() {
    let memory = 75 * MINUTE;
    for (late, want) in [(memory, 1), (memory + 1, 0)] {
        let other = Step {
            arrival: late,
            ..step(
                GroupedBy::Profile,
                "other",
                "DeleteInstanceProfile",
                "2",
                late,
            )
        };
        let second = Step {
            arrival: 10,
            ..addition("b", "3", MINUTE)
        };
        assert_eq!(
            told(&[removal("a", "1", 0), other, second]).len(),
            want,
            "{late}"
        );
    }
}

#[test]
fn what_lags_behind_counts_as_come_with_what_stands_before_it() {
    let day = 24 * 60 * MINUTE;
    let other = |arrival: i64| Step {
        arrival,
        ..step(
            GroupedBy::Profile,
            "other",
            "DeleteInstanceProfile",
            "x",
            day,
        )
    };
    // Of a partition that is a day behind: each half arrived long before what was read already.
    let swap = [removal("a", "1", 0), addition("b", "2", MINUTE)];
    let [first, second] = swap;
    assert_eq!(
        told(&[
            other(day),
            first,
            other(day + MINUTE),
            other(day + 2 * MINUTE),
            second
        ]),
        ["role_swap 1 2"]
    );
}

#[test]
fn a_backlog_of_days_changes_nothing() {
    // The messages arrived in time; that they are read a week later is nobody's business here.
    let arrived = |step: Step| Step {
        arrival: step.event_time + MINUTE,
        ..step
    };
    assert_eq!(
        told(&[
            arrived(removal("a", "1", 0)),
            arrived(addition("b", "2", MINUTE))
        ]),
        ["role_swap 1 2"]
    );
}

#[test]
fn beyond_the_most_the_oldest_go_and_are_counted() {
    let settings = Sequences {
        max_steps: 100,
        ..settings()
    };
    let mut state = State::new(&settings);
    for number in 0..250 {
        let of = format!("profile-{number}");
        let id = format!("{number}");
        state.step(&step(
            GroupedBy::Profile,
            &of,
            "RemoveRoleFromInstanceProfile",
            &id,
            number,
        ));
    }
    assert_eq!((state.steps(), state.dropped()), (100, 150));
}

/// What a step is made of, small enough that sequences are common.
type Seed = (u8, u8, u8, u8, i64, i64, u8);

fn made(seeds: &[Seed]) -> Vec<Step> {
    let names = [
        "RemoveRoleFromInstanceProfile",
        "AddRoleToInstanceProfile",
        "DeleteInstanceProfile",
    ];
    let mut steps: Vec<Step> = Vec::new();
    let mut clock = 0;
    for (place, (call, role, profile, outcome, advance, back, again)) in seeds.iter().enumerate() {
        clock += advance * SECOND;
        if *again == 0 && place > 0 {
            // A redelivery, a little later in the log.
            let back = place * 7 % steps.len().min(5);
            let mut step = steps[steps.len() - 1 - back].clone();
            step.arrival = clock;
            steps.push(step);
            continue;
        }
        let at = clock - back * SECOND;
        let id = format!("id-{place}");
        let of = format!("profile-{profile}");
        let mut next = if call % 2 == 0 {
            let name = names[usize::from(*call) % 3];
            step(GroupedBy::Profile, &of, name, &id, at)
        } else {
            step(GroupedBy::Principal, "eve", names[0], &id, at)
        };
        next.role = Some(format!("role-{role}"));
        next.profile = Some(of);
        // Messages of several partitions come in no order, and their records are of every size.
        next.arrival = clock - back % 7 * MINUTE;
        if *role == 0 {
            let text = "x".repeat(usize::from(*outcome) * 2_000);
            let record = serde_json::json!({"envelope": "record", "text": text});
            next.record = Some(serde_json::from_value(record).unwrap());
        }
        if call % 2 == 1 && outcome % 3 == 0 {
            next.outcome = Outcome::Denied;
        }
        steps.push(next);
    }
    steps
}

/// The steps from `start` on, in a state that was rebuilt before by reading back.
fn resumed(steps: &[Step], start: usize, settings: &Sequences) -> State {
    let mut state = State::new(settings);
    let Some(last) = start.checked_sub(1).map(|place| &steps[place]) else {
        return state;
    };
    let from = state.rebuilt_from(last.arrival);
    let first = steps.iter().position(|step| step.arrival >= from).unwrap();
    for step in &steps[first..start] {
        state.step(step);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// The state is rebuilt from the log of steps at each restart, and the documents are those of one undisturbed run.
    #[test]
    fn restarts_anywhere_change_nothing(
        // Some are so late that what is remembered decides: within `lateness` nothing that is forgotten could matter.
        seeds in prop::collection::vec((0_u8..6, 0_u8..3, 0_u8..7, 0_u8..9, 0_i64..900, prop_oneof![0_i64..900, 0_i64..9_000], 0_u8..4), 1..80),
        cuts in prop::collection::vec(0_usize..80, 0..6),
        max_steps in prop::sample::select(vec![20_000_usize, 100, 12, 3]),
    ) {
        let steps = made(&seeds);
        let settings = Sequences { max_steps, window: Duration::from_hours(1), ..Sequences::default() };
        let mut undisturbed = State::new(&settings);
        let want: Vec<Vec<Sequence>> = steps.iter().map(|step| undisturbed.step(step)).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < steps.len()).collect();
        cuts.extend([0, steps.len()]);
        cuts.sort_unstable();
        let mut got = Vec::new();
        for pair in cuts.windows(2) {
            let mut state = resumed(&steps, pair[0], &settings);
            for step in &steps[pair[0]..pair[1]] {
                // What another process wrote is what this one reads.
                let text = serde_json::to_string(step).unwrap();
                got.push(state.step(&serde_json::from_str(&text).unwrap()));
            }
        }
        prop_assert_eq!(got, want);
    }

    /// Every step once more, at once or at the end, is as if it had come once.
    #[test]
    fn what_comes_again_changes_nothing(
        seeds in prop::collection::vec((0_u8..6, 0_u8..3, 0_u8..7, 0_u8..9, 0_i64..60, 0_i64..60, 1_u8..2), 1..60),
    ) {
        let steps = made(&seeds);
        let once = told(&steps);
        let twice: Vec<Step> = steps.iter().flat_map(|step| [step.clone(), step.clone()]).collect();
        prop_assert_eq!(&told(&twice), &once);
        let again: Vec<Step> = steps.iter().chain(&steps).cloned().collect();
        prop_assert_eq!(&told(&again), &once);
    }

    /// No sequence is said twice, whatever the order.
    #[test]
    fn each_is_said_once(
        seeds in prop::collection::vec((0_u8..6, 0_u8..3, 0_u8..7, 0_u8..9, 0_i64..300, 0_i64..900, 0_u8..8), 1..80),
    ) {
        let mut state = State::new(&settings());
        let mut ids: Vec<String> = made(&seeds).iter().flat_map(|step| state.step(step)).map(|it| it.id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), all);
    }

    /// In whatever order the steps of one burst come, it is said once for each number that it reaches.
    #[test]
    fn a_burst_is_said_once_in_any_order(count in 1_usize..30, order in any::<u64>()) {
        let mut steps: Vec<Step> = (0..count).map(|number| {
            let at = i64::try_from(number).unwrap() * 20 * SECOND;
            let mut step = step(GroupedBy::Principal, "eve", "RemoveRoleFromInstanceProfile", &format!("{number}"), at);
            step.profile = Some(format!("profile-{number}"));
            step
        }).collect();
        steps.sort_by_key(|step| (step.event_time.unsigned_abs() + 1).wrapping_mul(order | 1) % 1009);
        let said = told(&steps);
        prop_assert_eq!(said.len(), usize::from(count >= 5) + usize::from(count >= 20), "{:?}", said);
    }
}

/// What a removal and another call lack, in words.
fn lacks(removal: Step, next: Step) -> String {
    let calls = [removal, next];
    let mut state = State::new(&settings());
    let went = calls.iter().filter(|step| step.outcome == Outcome::Success);
    let found: Vec<Sequence> = went.flat_map(|step| state.step(step)).collect();
    let missing = super::missing(&calls, &found);
    let all = missing.iter().map(|it| {
        format!(
            "{} of {}: {}",
            it.kind.as_str(),
            it.event_id,
            it.why.join("; ")
        )
    });
    all.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_missing_for_a_pair_is_said() {
    let denied = |step: Step| Step {
        outcome: Outcome::Denied,
        ..step
    };
    let elsewhere = |mut step: Step| {
        "api".clone_into(&mut step.group.of);
        step.profile = Some("api".to_owned());
        step
    };
    for (next, want) in [
        (addition("b", "2", MINUTE), ""),
        (
            addition("b", "2", 901 * SECOND),
            "role_swap of 1: it was made 15m 1s later; 15m is the most",
        ),
        (
            addition("b", "2", -SECOND),
            "role_swap of 1: what should have followed was made 1s before",
        ),
        (
            denied(addition("b", "2", MINUTE)),
            "role_swap of 1: what followed was denied",
        ),
        (
            elsewhere(addition("b", "2", MINUTE)),
            "role_swap of 1: one was about the instance profile web, the other about api",
        ),
        (
            elsewhere(denied(addition("a", "2", MINUTE))),
            "role_restored of 1: what followed was denied; one was about the instance profile web, the other about api",
        ),
        (
            addition("a", "2", 0),
            "role_restored of 1: both are of the same second, so that nobody knows which was first",
        ),
        (
            Step {
                principal: Some("mallory".to_owned()),
                role: None,
                ..of_profile("DeleteInstanceProfile", "", "2", SECOND)
            },
            "profile_deleted of 1: one was by eve, the other by mallory",
        ),
    ] {
        assert_eq!(lacks(removal("a", "1", 0), next.clone()), want, "{next:?}");
    }
}

#[test]
fn what_is_missing_for_many_is_said() {
    let call = |number: i64, outcome: Outcome| Step {
        outcome,
        profile: Some(format!("profile-{number}")),
        ..step(
            GroupedBy::Principal,
            "eve",
            "RemoveRoleFromInstanceProfile",
            &format!("{number}"),
            number * SECOND,
        )
    };
    let told = |outcome: Outcome, count: i64| {
        let calls: Vec<Step> = (1..=count).map(|number| call(number, outcome)).collect();
        let mut state = State::new(&settings());
        let found: Vec<Sequence> = calls.iter().flat_map(|step| state.step(step)).collect();
        let missing = super::missing(&calls, &found);
        missing
            .iter()
            .map(|it| format!("{}: {}", it.kind.as_str(), it.why.join("; ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(Outcome::Success, 1), [""; 0]);
    assert_eq!(
        told(Outcome::Success, 4),
        ["burst: 4 instance profiles of one principal within 10m; it takes 5"]
    );
    assert_eq!(told(Outcome::Success, 5), [""; 0]);
    assert_eq!(
        told(Outcome::Denied, 2),
        [
            "denied_burst: 2 denials of one principal within 10m; it takes 3",
            "success_after_denied: 2 denials of one principal within 1h; it takes 3"
        ]
    );
    assert_eq!(
        told(Outcome::Denied, 3),
        ["success_after_denied: 3 denials, and no success of that principal within 1h after them"]
    );
}
