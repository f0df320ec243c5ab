//! Any bytes through the envelope, and what comes out as a record through the parser.

use trailtag::cloudtrail::envelope::{Element, Limits, Scratch, open};
use trailtag::cloudtrail::prefilter::Prefilter;
use trailtag::cloudtrail::record::{EventNames, Record};

use super::memory;
use super::record::NAME;

const LIMITS: Limits = Limits {
    decoded_bytes: 1 << 20,
    depth: 6,
    validate: false,
};

/// Layers hold what they decode to, at most twice while they grow; parsed values take a multiple of their text.
const MEMORY: usize = 32 << 20;

/// The payload is the input.
pub fn run(payload: &[u8]) {
    memory::within(MEMORY, || elements(payload));
}

fn elements(payload: &[u8]) {
    let prefilter = Prefilter::new(Some(&[NAME.to_owned()]));
    let is_ignored_at_once = prefilter.is_one_ignored_record(payload);
    let mut elements = 0;
    open(payload, &LIMITS, &mut Scratch::default(), &mut |element| {
        elements += 1;
        match element {
            Element::Record(record) => {
                let names = EventNames::parse(record.json);
                let is_ours = names
                    .as_ref()
                    .is_ok_and(|names| names.event_name.as_deref() == Some(NAME));
                assert!(!is_ours || prefilter.may_match(record.json));
                assert!(!is_ours || !is_ignored_at_once);
                if let (Ok(parsed), Ok(names)) = (Record::parse(record.json), &names) {
                    assert_eq!(parsed.text(&["eventName"]), names.event_name.as_deref());
                    assert_eq!(parsed.text(&["eventSource"]), names.event_source.as_deref());
                }
            }
            Element::Skipped(_) => {}
            Element::Rejected(rejection) => assert!(!rejection.bytes.is_empty()),
        }
    });
    assert!(elements > 0);
}
