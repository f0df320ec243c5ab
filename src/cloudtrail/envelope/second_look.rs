//! The second look at a wrapper: whether a record stands anywhere in it before it is skipped or rejected.
//!
//! In: an object in which the walk found no record. Out: the elements that stand where `input.record_paths` says, or in one of
//! its texts; or the word that there are none, and then a skip or a rejection that says what the object has.

use super::forms::{Form, Items, first_json, form};
use super::object::Object;
use super::walk::{Walk, WrapperContext};
use super::{Envelope, Skip, kinds, pointer, recover};
use crate::cloudtrail::scan::Members;
use crate::cloudtrail::{text, time};
use crate::model::dead_letter::Reason;

impl Walk<'_> {
    /// What stands at `input.record_paths`; whether anything does.
    pub(super) fn at_record_paths(
        &mut self,
        object: &Object<'_>,
        context: WrapperContext<'_>,
    ) -> bool {
        let mut is_found = false;
        for pointer in self.search.record_paths {
            let value = pointer.of(object.json).filter(|value| *value != b"null");
            if let Some(value) = value {
                is_found = true;
                if let Some(context) = self.deeper(context) {
                    let envelope = Envelope::RecordPath;
                    self.value(
                        value,
                        WrapperContext {
                            envelope,
                            ..context
                        },
                    );
                }
            }
        }
        is_found
    }

    /// An object that has no record, so far as its form says: skipped if no rule could want anything in it, or if what is
    /// wanted stands where objects of its kind have such names.
    pub(super) fn without_record(
        &mut self,
        object: &Object<'_>,
        skip: Skip,
        context: WrapperContext<'_>,
    ) {
        let is_wanted = self.is_wanted(object.json);
        if !is_wanted && !may_have_base64(object) {
            return self.skip(skip);
        }
        if is_wanted && kinds::is_whole(object, self.search.wanted) {
            return self.skip_kind(skip);
        }
        if self.elsewhere(object, context) {
            return;
        }
        if is_wanted && kinds::is_event_of_aws(object) {
            return self.skip_kind(skip);
        }
        if !is_wanted {
            return self.skip(skip);
        }
        let (reason, error) = what_it_is(object, self.search.wanted);
        self.reject(reason, error, context);
    }

    /// What a wrapper has beside what it carries, which was passed over and has nothing that is wanted.
    pub(super) fn beside_what_it_carries(
        &mut self,
        object: &Object<'_>,
        context: WrapperContext<'_>,
    ) {
        if !kinds::is_whole(object, self.search.wanted) && !self.elsewhere(object, context) {
            let (reason, error) = what_it_is(object, self.search.wanted);
            self.reject(reason, error, context);
        }
    }

    /// Whether something could stand in a text: a name, or base64, in which none can be seen.
    fn may_hold(&self, text: &[u8]) -> bool {
        self.is_wanted(text) || recover::base64_word(text).is_some()
    }

    /// Looks for a record in the texts of a wrapper that does not begin with one. Whether one was found; then elements
    /// were given.
    pub(super) fn elsewhere(&mut self, object: &Object<'_>, context: WrapperContext<'_>) -> bool {
        for (value, envelope) in kinds::places(object) {
            let Some(value) = value.filter(|value| self.may_hold(value)) else {
                continue;
            };
            let before = self.index;
            let known = &object.known;
            let time = known
                .at_timestamp
                .or(known.date)
                .or(known.time)
                .or(known.timestamp);
            let context = WrapperContext {
                envelope,
                time: time.and_then(time::parse).or(context.time),
                otherwise: None,
                ..context
            };
            match value.first() {
                Some(b'"') => {
                    let inside = text::string_inside(value).unwrap_or_default();
                    self.unescaped(inside, context, |walk, text| {
                        walk.recovered(text, context);
                    });
                }
                Some(b'{') => {
                    let inner = Object::walk(value, 0);
                    let is_known =
                        inner.fault.is_none() && form(&inner, Items::Any) != Form::Unknown;
                    if is_known && let Some(context) = self.deeper(context) {
                        self.object(&inner, context, Items::Any);
                    }
                }
                _ => {}
            }
            if self.index > before {
                return true;
            }
        }
        false
    }

    /// The first of a row's columns that are JSON and of a form that is known, if the row itself is none.
    pub(super) fn columns(&mut self, row: &[u8], context: WrapperContext<'_>) {
        if !row.starts_with(b"{") {
            return self.value(row, context);
        }
        let object = Object::walk(row, 0);
        if object.fault.is_some() || form(&object, Items::Any) != Form::Unknown {
            return self.object(&object, context, Items::Any);
        }
        let (before, told) = (self.index, self.told);
        let mut members = Members::new(row, 0);
        while let Some(member) = members.next_member() {
            let value = member.end.ok().and_then(|end| row.get(member.start..end));
            if let Some(value) = value.filter(|value| first_json(&[Some(value)]).is_some()) {
                let context = WrapperContext {
                    otherwise: Some(Skip::NotCloudtrail),
                    ..context
                };
                self.value(value, context);
            }
        }
        let mut members = Members::new(row, 0);
        while self.told == told
            && let Some(member) = members.next_member()
        {
            let value = member.end.ok().and_then(|end| row.get(member.start..end));
            if let Some(inside) = value.and_then(text::string_inside)
                && self.may_hold(inside)
            {
                self.unescaped(inside, context, |walk, text| {
                    walk.recovered(text, context);
                });
            }
        }
        if self.index == before && !self.at_record_paths(&object, context) {
            self.unrecognised(&object, context);
        }
    }

    /// An object of no form that is known.
    pub(super) fn of_no_form(&mut self, object: &Object<'_>, context: WrapperContext<'_>) {
        match context.otherwise {
            Some(skip) if !self.may_hold(object.json) => self.skip(skip),
            _ if self.elsewhere(object, context) => {}
            _ => self.unrecognised(object, context),
        }
    }

    /// The end of an object of which nothing is known.
    pub(super) fn unrecognised(&mut self, object: &Object<'_>, context: WrapperContext<'_>) {
        let wanted = self.search.wanted;
        self.unknown(object.json, context, || what_it_is(object, wanted));
    }
}

/// Whether base64 stands where a record may stand in it: nothing that is looked for can be seen there.
fn may_have_base64(object: &Object<'_>) -> bool {
    kinds::places(object)
        .iter()
        .any(|(value, _)| value.is_some_and(|value| recover::base64_word(value).is_some()))
}

/// Says what an object is that nothing is known of, so that a person sees where its record stands.
fn what_it_is(object: &Object<'_>, wanted: &dyn Fn(&[u8]) -> bool) -> (Reason, String) {
    let keys = object.keys();
    let mut error = format!("an object in no form in which CloudTrail is known to travel ({keys})");
    if let Some(pointer) = pointer::leading_to(object.json, wanted) {
        error.push_str("; a name that a rule looks for stands at ");
        error.push_str(&pointer);
        error.push_str(" (see input.record_paths)");
    }
    (Reason::UnrecognisedEnvelope, error)
}
