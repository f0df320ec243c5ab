//! Composes envelope, prefilter, detection, remediation and formats: one message in, documents out. Pure.

mod outputs;
mod sequences;
mod steps;
mod tally;
mod unreadable;

use std::ops::ControlFlow;

pub use outputs::{Document, Outputs};
#[cfg(feature = "service")]
pub(crate) use outputs::{HEADER_OVERHEAD, OVERHEAD};
pub use tally::Tally;
pub use unreadable::MOST_ELEMENTS;
use unreadable::{UnreadableElement, UnreadableElements, dead_letter};

use crate::cloudtrail::envelope::{
    self, Element, Limits, Pointer, RawRecord, Scratch, Search, Skip,
};
use crate::cloudtrail::prefilter::Prefilter;
use crate::cloudtrail::record::{EventNames, Record, RecordError};
use crate::cloudtrail::repair::Repaired;
use crate::config::{Config, Route, Validate};
use crate::detection::explain::Explanation;
use crate::detection::{Context, Detector};
use crate::finding::{Finding, Step, TRIMS};
use crate::format;
use crate::model::dead_letter::Reason;
use crate::model::error::chain;
use crate::model::fault::{Faults, Notes};
use crate::model::{Level, Origin};
use crate::remediation::Catalogue;

/// What became of one element of a message, and why.
#[derive(Debug)]
pub enum Explained<'a> {
    /// A record; there is a finding where a rule matched it.
    Record {
        /// The record.
        record: &'a Record<'a>,
        /// Every rule and factor, with what decided it.
        explanation: &'a Explanation<'a>,
        /// What documents are made of.
        finding: Option<&'a Finding<'a>>,
        /// The step that it is, or would be if it had gone through; none of a call that no sequence is about.
        step: Option<&'a Step>,
    },
    /// Valid, and no record.
    Skipped(Skip),
    /// It cannot be read.
    Rejected(Reason, String),
}

/// Everything between bytes and documents, ready to run. Pure: the same bytes give the same documents.
#[derive(Debug)]
pub struct Pipeline {
    limits: Limits,
    record_paths: Vec<Pointer>,
    max_unreadable: u32,
    prefilter: Prefilter,
    detector: Detector,
    catalogue: Catalogue,
    routes: Vec<Route>,
    collects_steps: bool,
    notes: Notes,
}

impl Pipeline {
    /// Loads rules, severity and remediation as the configuration says, with every fault in them.
    pub fn from_config(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut note = |found: Faults| faults.extend(found);
        let detector = Detector::load(&config.detection).map_err(&mut note);
        let file =
            Some(config.remediation.file.as_path()).filter(|path| !path.as_os_str().is_empty());
        let catalogue = Catalogue::load(file, config.remediation.detail).map_err(&mut note);
        let (Ok(detector), Ok(catalogue)) = (detector, catalogue) else {
            return Err(faults);
        };
        let mut notes = detector.notes().clone();
        notes.warnings.extend(catalogue.warnings().clone());
        let pipeline = Self {
            notes,
            limits: Limits {
                decoded_bytes: config.input.max_decoded_bytes,
                depth: config.input.max_depth,
                validate: config.input.validate == Validate::Full,
            },
            record_paths: (config.input.record_paths.iter())
                .filter_map(|path| Pointer::parse(path))
                .collect(),
            max_unreadable: config.input.max_unreadable,
            prefilter: Prefilter::new(detector.literals()),
            detector,
            catalogue,
            routes: config.routes.clone(),
            collects_steps: false,
        };
        Ok(if config.sequences.topic.is_empty() {
            pipeline
        } else {
            pipeline.collecting_steps()
        })
    }

    /// The same, which also finds the steps of sequences, be they findings or not. Records of their names are read then,
    /// whatever the rules are.
    #[must_use]
    pub fn collecting_steps(mut self) -> Self {
        let calls = steps::CALLS.map(str::to_owned);
        let literals = self.detector.literals().map(|literals| {
            let further = calls.iter().filter(|call| !literals.contains(call));
            literals.iter().chain(further).cloned().collect::<Vec<_>>()
        });
        self.prefilter = Prefilter::new(literals.as_deref());
        self.collects_steps = true;
        self
    }

    /// Whether a rule, or a sequence, could want a record of these names. False is certain, true is not.
    fn wants(&self, names: &EventNames<'_>) -> bool {
        self.detector.wants(names) || (self.collects_steps && steps::want(names))
    }

    /// What decides which records are ours.
    #[must_use]
    pub const fn detector(&self) -> &Detector {
        &self.detector
    }

    /// What should be known of rules, severity and remediation, although they are in use.
    #[must_use]
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How many rules are in use.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.detector.rules().len()
    }

    /// Whether a record is parsed whole, since some rule could match one of its names.
    #[must_use]
    pub fn parses(&self, record: &[u8]) -> bool {
        matches!(self.wanted(record, &mut None), Ok(Some(_)))
    }

    /// Turns one message into documents and dead letters, which are added to `out`, and counts what became of it.
    ///
    /// Elements before [`Outputs::done`] are passed over. Where the outputs reach [`Outputs::budget`] before the message
    /// ends, the rest is left, and [`Outputs::interrupted_at`] says where: the same message with that number of elements
    /// done goes on from there. One element is always taken, however large what it becomes.
    pub fn process(&self, payload: &[u8], origin: &Origin<'_>, out: &mut Outputs) -> Tally {
        self.ignored(payload, out).unwrap_or_else(|| {
            self.process_in_parts(payload, origin, out, &mut |_, _, _| ControlFlow::Break(()))
        })
    }

    /// What becomes of a message that is one record in which no rule can match; none for any other, which is not told from
    /// such a one by more than a look.
    #[inline]
    pub fn ignored(&self, payload: &[u8], out: &mut Outputs) -> Option<Tally> {
        let is_ignored =
            out.done == 0 && !self.limits.validate && self.prefilter.is_one_ignored_record(payload);
        is_ignored.then(|| {
            out.interrupted_at = None;
            Tally {
                ignored: 1,
                ..Tally::default()
            }
        })
    }

    /// As [`Pipeline::process`], for a message whose outputs do not fit the budget: each time they reach it, `part` is given
    /// them, the tally since the last part, and how many elements are done, and takes what it wants from the outputs.
    /// Where it breaks, the rest is left. What comes after the last part stays in `out`; its tally is returned.
    ///
    /// Where more elements cannot be read than [`crate::config::Input::max_unreadable`], they do not become a dead letter
    /// each, but one together: the message. So does a message of more elements than [`MOST_ELEMENTS`], of which the rest is
    /// not looked at.
    pub fn process_in_parts(
        &self,
        payload: &[u8],
        origin: &Origin<'_>,
        out: &mut Outputs,
        part: &mut dyn FnMut(&mut Outputs, &Tally, u32) -> ControlFlow<()>,
    ) -> Tally {
        let mut tally = Tally::default();
        // Lent out, so that a part may be taken while a message is open.
        let mut scratch = std::mem::take(&mut out.scratch);
        out.interrupted_at = None;
        out.bytes = 0;
        let wanted = |text: &[u8]| self.prefilter.may_hold_a_match(text);
        let mut unreadable = None;
        let mut done = out.done;
        loop {
            let mut elements = 0;
            let mut is_asked = false;
            let search = self.search(&wanted);
            envelope::open_until(
                payload,
                &self.limits,
                search,
                &mut scratch,
                &mut |element| {
                    let place = elements;
                    elements += 1;
                    if place < done {
                        return ControlFlow::Continue(());
                    }
                    if out.is_full() {
                        if part(out, &tally, place).is_break() {
                            out.interrupted_at = Some(place);
                            return ControlFlow::Break(());
                        }
                        tally = Tally::default();
                        out.bytes = 0;
                    }
                    let taken = if place == MOST_ELEMENTS {
                        Err(UnreadableElement::rest(payload))
                    } else {
                        self.element(element, payload, origin, out, &mut tally)
                    };
                    if let Err(unread) = taken {
                        let Some(unreadable) = &unreadable else {
                            (is_asked, done) = (true, place);
                            return ControlFlow::Break(());
                        };
                        if let Some(letter) = unread.letter(place, unreadable, payload) {
                            tally.dead_letter(letter.reason);
                            out.dead_letter(letter);
                        }
                    }
                    if place == MOST_ELEMENTS {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                },
            );
            if !is_asked {
                break;
            }
            // Whether there are many is asked before the first one leaves, and with no other copy of the message unfolded.
            unreadable = Some(self.unreadable(payload, &mut scratch));
        }
        out.scratch = scratch;
        tally
    }

    /// Counts the elements of a message that cannot be read.
    fn unreadable(&self, payload: &[u8], scratch: &mut Scratch) -> UnreadableElements {
        let mut unreadable = UnreadableElements::up_to(self.max_unreadable);
        let wanted = |text: &[u8]| self.prefilter.may_hold_a_match(text);
        let search = self.search(&wanted);
        envelope::open_until(payload, &self.limits, search, scratch, &mut |element| {
            let fault = match element {
                Element::Skipped(_) => None,
                Element::Rejected(rejection) => Some((rejection.reason, rejection.error)),
                Element::Record(raw) => {
                    let mut repaired = None;
                    let error = self.wanted(raw.json, &mut repaired).err();
                    error.map(|error| (Reason::InvalidJson, error))
                }
            };
            unreadable.count(fault)
        });
        unreadable
    }

    /// What must not be skipped, and where records may stand.
    fn search<'a>(&'a self, wanted: &'a dyn Fn(&[u8]) -> bool) -> Search<'a> {
        Search {
            wanted,
            record_paths: &self.record_paths,
        }
    }

    fn element<'a>(
        &self,
        element: Element<'a>,
        payload: &[u8],
        origin: &Origin<'_>,
        out: &mut Outputs,
        tally: &mut Tally,
    ) -> Result<(), UnreadableElement<'a>> {
        match element {
            Element::Skipped(kind) => tally.skip(kind),
            Element::Rejected(rejection) => return Err(rejection.into()),
            Element::Record(raw) => match self.record(&raw, origin, out) {
                Ok(None) => tally.ignored += 1,
                Ok(Some(level)) => {
                    tally.matched += 1;
                    tally.finding(level);
                }
                Err(NotSent::Unreadable(error)) => {
                    return Err(UnreadableElement::record(&raw, error));
                }
                Err(NotSent::Unsendable(reason, error)) => {
                    tally.dead_letter(reason);
                    let index = Some(raw.index);
                    out.dead_letter(dead_letter(reason, error, index, raw.json, payload));
                }
            },
        }
        Ok(())
    }

    /// Says of every element of one message what [`Pipeline::process`] makes of it, and why.
    pub fn explain(
        &self,
        payload: &[u8],
        origin: &Origin<'_>,
        tell: &mut dyn FnMut(Explained<'_>),
    ) {
        let mut scratch = Scratch::default();
        let wanted = |text: &[u8]| self.prefilter.may_hold_a_match(text);
        let search = self.search(&wanted);
        envelope::open_until(
            payload,
            &self.limits,
            search,
            &mut scratch,
            &mut |element| {
                match element {
                    Element::Skipped(kind) => tell(Explained::Skipped(kind)),
                    Element::Rejected(rejection) => {
                        tell(Explained::Rejected(rejection.reason, rejection.error));
                    }
                    Element::Record(raw) => {
                        let mut repaired = None;
                        match read(raw.json, &mut repaired) {
                            Ok(record) => self.explain_record(&record, origin, &raw, tell),
                            Err(error) => tell(Explained::Rejected(Reason::InvalidJson, error)),
                        }
                    }
                }
                ControlFlow::Continue(())
            },
        );
    }

    fn explain_record(
        &self,
        record: &Record<'_>,
        origin: &Origin<'_>,
        raw: &RawRecord<'_>,
        tell: &mut dyn FnMut(Explained<'_>),
    ) {
        let context = Context::new(origin, raw);
        let explanation = self.detector.explain(record, context);
        let finding = explanation.detection.clone().map(|detection| {
            let advice = self.catalogue.select(record, &detection.facts);
            Finding::new(record, detection, advice, origin, raw)
        });
        let step = steps::of_call(record, &self.detector.facts(record, context), origin, raw);
        tell(Explained::Record {
            record,
            explanation: &explanation,
            finding: finding.as_ref(),
            step: step.as_ref(),
        });
    }

    /// One record: its level when it is ours, and a document for each route that wants it.
    fn record(
        &self,
        raw: &RawRecord<'_>,
        origin: &Origin<'_>,
        out: &mut Outputs,
    ) -> Result<Option<Level>, NotSent> {
        let mut repaired = None;
        let record = self.wanted(raw.json, &mut repaired);
        let Some(record) = record.map_err(NotSent::Unreadable)? else {
            return Ok(None);
        };
        let context = Context::new(origin, raw);
        let detection = self.detector.evaluate(&record, context);
        if self.collects_steps && steps::is_call(&record) {
            let facts = self.detector.facts(&record, context);
            for step in steps::of_record(&record, &facts, origin, raw) {
                out.step(step);
            }
        }
        let Some(detection) = detection else {
            return Ok(None);
        };
        let advice = self.catalogue.select(&record, &detection.facts);
        let finding = Finding::new(&record, detection, advice, origin, raw);
        self.write(&finding, raw.index, out)?;
        Ok(Some(finding.level()))
    }

    /// Writes a finding's document for each route that wants it.
    fn write(&self, finding: &Finding<'_>, index: u32, out: &mut Outputs) -> Result<(), NotSent> {
        let mut too_large = Vec::new();
        for (place, route) in self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| finding.is_wanted_by(route))
        {
            let topics = out.limits.get(place).copied().unwrap_or(usize::MAX);
            let limit = if route.max_bytes == 0 {
                topics
            } else {
                topics.min(route.max_bytes)
            };
            let last_size = &mut out.last_size;
            let mut document = document(place, route, finding, index, last_size)?;
            for parts in TRIMS {
                if document.size() <= limit {
                    break;
                }
                document = self::document(place, route, &finding.without(parts), index, last_size)?;
            }
            let size = document.size();
            if size > limit {
                let takes = if limit < topics {
                    "the route"
                } else {
                    "its topic"
                };
                too_large.push(format!(
                    "route {}: the document has {size} bytes with its key and headers and without remediation steps, {takes} ({}) takes {limit}",
                    route.name, route.topic
                ));
            } else {
                out.document(document);
            }
        }
        if too_large.is_empty() {
            return Ok(());
        }
        Err(NotSent::Unsendable(
            Reason::DocumentTooLarge,
            too_large.join("; "),
        ))
    }

    /// A record that rules may match, parsed; none for one that they cannot. An error says why it cannot be read.
    /// `repaired` holds what had to be mended.
    fn wanted<'a: 'r, 'r>(
        &self,
        json: &'a [u8],
        repaired: &'r mut Option<Repaired<'a>>,
    ) -> Result<Option<Record<'r>>, String> {
        if !self.prefilter.may_match(json) {
            return Ok(None);
        }
        match EventNames::parse(json) {
            Ok(names) if !self.wants(&names) => return Ok(None),
            Ok(_) => {}
            Err(error) => {
                // The names themselves are not mended: nobody can say which ones they were.
                let lossy = String::from_utf8_lossy(json);
                let names = EventNames::parse(lossy.as_bytes()).ok();
                let is_mended = |name: Option<&str>| name.is_some_and(|it| it.contains('\u{fffd}'));
                match names {
                    Some(names)
                        if !is_mended(names.event_name.as_deref())
                            && !is_mended(names.event_source.as_deref()) =>
                    {
                        if !self.wants(&names) {
                            return Ok(None);
                        }
                    }
                    _ => return Err(chain(&error)),
                }
            }
        }
        read(json, repaired).map(Some)
    }
}

/// A record parsed, mended where that is needed.
fn read<'a: 'r, 'r>(
    json: &'a [u8],
    repaired: &'r mut Option<Repaired<'a>>,
) -> Result<Record<'r>, String> {
    let error = match Record::parse(json) {
        Ok(record) => return Ok(record),
        Err(error) => error,
    };
    *repaired = Repaired::of(json);
    let record = repaired.as_ref().map(Record::parse_repaired);
    let unreadable = |error: RecordError| chain(&error);
    match record {
        Some(record) => record.map_err(unreadable),
        None => Err(unreadable(error)),
    }
}

/// Why nothing, or not everything, of a record is sent.
enum NotSent {
    /// It cannot be read.
    Unreadable(String),
    /// It can, and becomes a dead letter for this reason.
    Unsendable(Reason, String),
}

fn document(
    place: usize,
    route: &Route,
    finding: &Finding<'_>,
    index: u32,
    last_size: &mut usize,
) -> Result<Document, NotSent> {
    let mut payload = Vec::with_capacity(*last_size + *last_size / 16);
    format::write(route, finding, &mut payload)
        .map_err(|error| NotSent::Unsendable(Reason::InvalidJson, error.to_string()))?;
    *last_size = payload.len();
    if payload.capacity() > payload.len() + payload.len() / 4 {
        // Documents wait for their transaction by the thousand.
        payload.shrink_to_fit();
    }
    Ok(Document {
        route: place,
        index,
        key: finding.key(route.key),
        headers: format::headers(route, finding),
        payload,
        event_time: finding.detection.facts.event_time.map(|at| at.millis),
    })
}
