//! What was promised, held against what the topics hold: pure, so that its own tests show that it finds each kind of fault.

use std::collections::{BTreeMap, BTreeSet};

use super::campaign::Guarantee;
use super::load::{Kind, read};
use super::support::Message;

/// A message of the input: which number it has, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) number: usize,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What a row leaves behind.
pub(crate) struct Evidence<'a> {
    pub(crate) guarantee: Guarantee,
    /// The fault takes acknowledged messages out of the input, so that some may never have been read.
    pub(crate) log_loses: bool,
    /// A finding may be too large for its topic, and become a dead letter.
    pub(crate) too_large: bool,
    pub(crate) sent: usize,
    pub(crate) acknowledged: &'a BTreeSet<usize>,
    /// The input as it is now.
    pub(crate) log: &'a [Message],
    /// What a `read_committed` reader sees.
    pub(crate) output: &'a [Message],
    pub(crate) dead_letters: &'a [Message],
}

/// What came of it, in numbers for the table, and in words where a promise is broken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) messages: usize,
    pub(crate) findings: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) out_of_order: usize,
    pub(crate) dead_letters: usize,
    /// Acknowledged, and not in the input any more.
    pub(crate) gone: usize,
    pub(crate) broken: Vec<String>,
}

/// Messages of the input by their place, as far as they lead to something.
pub(crate) fn required(log: &[Message]) -> BTreeMap<Source, Kind> {
    log.iter()
        .filter_map(|message| {
            let (number, kind) = read(message.payload.as_deref()?)?;
            let source = Source {
                number,
                partition: message.partition,
                offset: message.offset,
            };
            (kind != Kind::Other).then_some((source, kind))
        })
        .collect()
}

/// What a document says of its origin.
pub(crate) fn of_document(message: &Message) -> Option<Source> {
    let key = std::str::from_utf8(message.key.as_deref()?).ok()?;
    let mut parts = message.header("trailtag.source")?.rsplitn(3, '/');
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    Some(Source {
        number: key.strip_prefix("e-")?.parse().ok()?,
        partition,
        offset,
    })
}

/// What a dead letter says of its origin, and what it was.
pub(crate) fn of_dead_letter(message: &Message) -> Option<(Source, Kind)> {
    let (number, kind) = read(message.payload.as_deref()?)?;
    let number_in = |name: &str| message.header(&format!("trailtag.source.{name}"));
    let source = Source {
        number,
        partition: number_in("partition")?.parse().ok()?,
        offset: number_in("offset")?.parse().ok()?,
    };
    Some((source, kind))
}

pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut verdict = Verdict {
        messages: evidence.log.len(),
        dead_letters: evidence.dead_letters.len(),
        ..Verdict::default()
    };
    let required = required(evidence.log);
    let counts_findings = required.values().filter(|kind| **kind == Kind::Finding);
    verdict.findings = counts_findings.count();

    let mut counts: BTreeMap<Source, usize> = BTreeMap::new();
    let mut strange = Vec::new();
    for message in evidence.output {
        match of_document(message) {
            Some(source) => *counts.entry(source).or_default() += 1,
            None => strange.push(format!("a document without origin: {message:?}")),
        }
    }
    for message in evidence.dead_letters {
        match of_dead_letter(message) {
            Some((source, kind)) => {
                *counts.entry(source).or_default() += 1;
                if kind != Kind::Unreadable && !evidence.too_large {
                    strange.push(format!("no reason to be a dead letter: {message:?}"));
                }
                if !same_bytes(evidence, message, source) {
                    strange.push(format!("not the bytes that were sent: {message:?}"));
                }
            }
            None => strange.push(format!("a dead letter without origin: {message:?}")),
        }
    }
    for source in counts
        .keys()
        .filter(|source| !required.contains_key(source))
    {
        // What was read before the log lost it.
        if source.number >= evidence.sent || !evidence.log_loses {
            strange.push(format!("never sent: {source:?}"));
        }
    }

    let lost: Vec<&Source> = required
        .keys()
        .filter(|source| !counts.contains_key(source))
        .collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    verdict.lost = lost.len();
    verdict.doubled = doubled.iter().map(|(_, count)| **count - 1).sum();
    verdict.out_of_order = out_of_order(evidence);
    verdict.gone = gone(evidence);

    let broken = &mut verdict.broken;
    if !lost.is_empty() {
        broken.push(format!("lost {}: {}", lost.len(), first(&lost)));
    }
    if evidence.guarantee == Guarantee::ExactlyOnce && !doubled.is_empty() {
        broken.push(format!("doubled {}: {}", verdict.doubled, first(&doubled)));
    }
    if verdict.out_of_order > 0 {
        broken.push(format!("{} out of order", verdict.out_of_order));
    }
    if verdict.gone > 0 && !evidence.log_loses {
        broken.push(format!(
            "the input lost {} acknowledged messages, which this fault does not explain",
            verdict.gone
        ));
    }
    if verdict.gone == 0 && evidence.log_loses {
        broken.push("the input has lost nothing, so that the fault was none".into());
    }
    if !strange.is_empty() {
        broken.push(format!("strange {}: {}", strange.len(), first(&strange)));
    }
    verdict
}

/// Whether a dead letter has the bytes of what it comes from; what the log has lost is compared with nothing.
fn same_bytes(evidence: &Evidence<'_>, letter: &Message, source: Source) -> bool {
    // By partition and offset, as they were read.
    let place = evidence.log.binary_search_by(|message| {
        (message.partition, message.offset).cmp(&(source.partition, source.offset))
    });
    match place {
        Ok(place) => {
            let message = &evidence.log[place];
            let now = message.payload.as_deref().and_then(read);
            // What stands there now may be another one.
            let replaced = now.is_none_or(|(number, _)| number != source.number);
            message.payload == letter.payload || evidence.log_loses && replaced
        }
        Err(_) => evidence.log_loses,
    }
}

/// How many documents come after one that was behind them in the input: seen by one partition of the output, since there
/// is no order between two, and by their first time, since what is sent again at least once comes again.
fn out_of_order(evidence: &Evidence<'_>) -> usize {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<(i32, i32), (usize, i64)> = BTreeMap::new();
    let mut count = 0;
    for message in evidence.output {
        let Some(source) = of_document(message) else {
            continue;
        };
        if !seen.insert(source) {
            continue;
        }
        // Where the log was cut, the same offsets come again; numbers never do.
        let offset = if evidence.log_loses { 0 } else { source.offset };
        let place = (source.number, offset);
        let last = last
            .entry((message.partition, source.partition))
            .or_insert(place);
        if place.0 < last.0 || place.1 < last.1 {
            count += 1;
        } else {
            *last = place;
        }
    }
    count
}

fn gone(evidence: &Evidence<'_>) -> usize {
    let there: BTreeSet<usize> = evidence
        .log
        .iter()
        .filter_map(|message| Some(read(message.payload.as_deref()?)?.0))
        .collect();
    evidence.acknowledged.difference(&there).count()
}

fn first<T: std::fmt::Debug>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(3).map(|one| format!("{one:?}")).collect();
    let more = if all.len() > 3 { " …" } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::super::records::{other, ours};
    use super::*;

    /// Two partitions: numbers 0, 2, 4, 6 and 1, 3, 5. 1 cannot be read, 2 is of no interest.
    fn input(number: usize) -> Message {
        let payload = match number {
            1 => b"not to be read: 1".to_vec(),
            2 => other(2),
            _ => ours(number),
        };
        Message {
            partition: i32::try_from(number % 2).unwrap(),
            offset: i64::try_from(number / 2).unwrap(),
            timestamp: None,
            key: None,
            payload: Some(payload),
            headers: Vec::new(),
        }
    }

    fn document(number: usize) -> Message {
        let source = format!("a/b/{}/{}", number % 2, number / 2);
        Message {
            partition: 0,
            key: Some(format!("e-{number}").into_bytes()),
            headers: vec![("trailtag.source".into(), Some(source.into_bytes()))],
            ..input(number)
        }
    }

    fn letter(number: usize) -> Message {
        let header = |name: &str, value: usize| {
            let name = format!("trailtag.source.{name}");
            (name, Some(value.to_string().into_bytes()))
        };
        Message {
            headers: vec![
                header("partition", number % 2),
                header("offset", number / 2),
            ],
            ..input(number)
        }
    }

    /// A row in which all went well, but for what is changed.
    fn judged(change: impl FnOnce(&mut Evidence<'_>, &mut Topics)) -> Verdict {
        let mut log: Vec<Message> = (0..7).map(input).collect();
        log.sort_by_key(|message| (message.partition, message.offset));
        let mut topics = Topics {
            log,
            output: [0, 3, 4, 5, 6].map(document).into(),
            dead_letters: vec![letter(1)],
            acknowledged: (0..7).collect(),
        };
        let mut evidence = Evidence {
            guarantee: Guarantee::ExactlyOnce,
            log_loses: false,
            too_large: false,
            sent: 7,
            acknowledged: &BTreeSet::new(),
            log: &[],
            output: &[],
            dead_letters: &[],
        };
        change(&mut evidence, &mut topics);
        judge(&Evidence {
            acknowledged: &topics.acknowledged,
            log: &topics.log,
            output: &topics.output,
            dead_letters: &topics.dead_letters,
            ..evidence
        })
    }

    struct Topics {
        log: Vec<Message>,
        output: Vec<Message>,
        dead_letters: Vec<Message>,
        acknowledged: BTreeSet<usize>,
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let verdict = judged(|_, _| {});
        let expected = Verdict {
            messages: 7,
            findings: 5,
            dead_letters: 1,
            ..Verdict::default()
        };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn what_is_missing_is_lost() {
        let finding = judged(|_, topics| drop(topics.output.remove(2)));
        assert_eq!((finding.lost, finding.broken.len()), (1, 1), "{finding:?}");
        assert!(finding.broken[0].contains("number: 4"), "{finding:?}");
        let letter = judged(|_, topics| topics.dead_letters.clear());
        assert_eq!((letter.lost, letter.broken.len()), (1, 1), "{letter:?}");
    }

    #[test]
    fn what_comes_twice_is_doubled() {
        let twice = |topics: &mut Topics| {
            topics.output.push(document(6));
            topics.dead_letters.push(letter(1));
        };
        let exactly = judged(|_, topics| twice(topics));
        assert_eq!(
            (exactly.doubled, exactly.broken.len()),
            (2, 1),
            "{exactly:?}"
        );
        let at_least = judged(|evidence, topics| {
            evidence.guarantee = Guarantee::AtLeastOnce;
            twice(topics);
        });
        assert_eq!(
            (at_least.doubled, at_least.broken.len()),
            (2, 0),
            "{at_least:?}"
        );
    }

    #[test]
    fn order_is_that_of_each_partition() {
        // Between partitions there is none, and what comes again is no step back.
        let fine = judged(|evidence, topics| {
            evidence.guarantee = Guarantee::AtLeastOnce;
            topics.output = [3, 5, 0, 4, 0, 4, 6].map(document).into();
        });
        assert_eq!((fine.out_of_order, fine.broken.len()), (0, 0), "{fine:?}");
        let wrong = judged(|_, topics| topics.output = [3, 5, 4, 0, 6].map(document).into());
        assert_eq!(
            (wrong.out_of_order, wrong.broken.len()),
            (1, 1),
            "{wrong:?}"
        );
    }

    #[test]
    fn what_was_never_sent_is_strange() {
        for number in [8, 2] {
            let verdict = judged(|_, topics| topics.output.push(document(number)));
            let broken = verdict.broken.last().unwrap();
            assert!(broken.starts_with("strange 1: \"never sent"), "{verdict:?}");
        }
        // Behind all others, so that the order holds.
        let other_place = judged(|_, topics| {
            topics.output[4].headers[0].1 = Some(b"a/b/0/9".to_vec());
        });
        assert_eq!(other_place.lost, 1, "{other_place:?}");
        assert_eq!(other_place.broken.len(), 2, "{other_place:?}");
    }

    #[test]
    fn a_dead_letter_has_the_bytes_that_were_sent() {
        let changed = judged(|_, topics| {
            topics.dead_letters[0].payload = Some(b"not to be read: 01".to_vec());
        });
        assert_eq!(changed.broken.len(), 1, "{changed:?}");
        let readable = |evidence: &mut Evidence<'_>, topics: &mut Topics| {
            topics.output.pop();
            topics.dead_letters.push(letter(6));
            evidence.too_large = true;
        };
        assert_eq!(judged(readable).broken, [""; 0]);
        let unexplained = judged(|evidence, topics| {
            readable(evidence, topics);
            evidence.too_large = false;
        });
        assert_eq!(unexplained.broken.len(), 1, "{unexplained:?}");
    }

    #[test]
    fn what_the_log_lost_may_be_missing_and_nothing_else() {
        // 4 and 6 are gone, 4 was read before; a new 8 stands where 4 stood.
        let cut = |topics: &mut Topics| {
            topics
                .log
                .retain(|message| message.partition == 1 || message.offset < 2);
            topics.log.insert(
                2,
                Message {
                    offset: 2,
                    ..input(8)
                },
            );
            topics
                .output
                .retain(|message| message.key != Some(b"e-6".to_vec()));
            topics.acknowledged.insert(8);
        };
        let unexplained = judged(|_, topics| cut(topics));
        assert_eq!(unexplained.gone, 2, "{unexplained:?}");
        assert!(!unexplained.broken.is_empty());
        let lost = judged(|evidence, topics| {
            (evidence.log_loses, evidence.sent) = (true, 9);
            cut(topics);
        });
        assert_eq!(
            (lost.lost, lost.gone, lost.broken.len()),
            (1, 2, 1),
            "{lost:?}"
        );
        let fine = judged(|evidence, topics| {
            (evidence.log_loses, evidence.sent) = (true, 9);
            cut(topics);
            let source = Some(b"a/b/0/2".to_vec());
            let mut new = document(8);
            new.headers[0].1 = source;
            topics.output.push(new);
        });
        assert_eq!((fine.lost, fine.broken.len()), (0, 0), "{fine:?}");
        let no_fault = judged(|evidence, _| evidence.log_loses = true);
        assert_eq!(no_fault.broken.len(), 1, "{no_fault:?}");
    }
}
