//! What a wrapper carries: one thing in each of its codings, or an object of lists.
//!
//! In: a wrapper whose form is known. Out: the walk goes on with what it carries, decoded within what is left of the
//! message's limit.

use super::forms::{Carrier, Coding, Items};
use super::layers::LayerError;
use super::otel::{self, AnyValueError, Body};
use super::walk::{Walk, WrapperContext};
use super::{Skip, dynamodb, rows};
use crate::cloudtrail::scan;
use crate::cloudtrail::{text, time};
use crate::model::dead_letter::Reason;

/// Writes the JSON that a value stands for, at most so many bytes.
type Write = fn(&[u8], usize, &mut Vec<u8>) -> Result<(), AnyValueError>;

impl Walk<'_> {
    /// The lists that are the values of an object.
    pub(super) fn lists(&mut self, lists: &[u8], context: WrapperContext<'_>, items: Items) {
        let Some(context) = self.deeper(context) else {
            return;
        };
        let mut members = scan::Members::new(lists, 0);
        let mut is_empty = true;
        while let Some(member) = members.next_member() {
            is_empty = false;
            let value = member.end.ok().and_then(|end| lists.get(member.start..end));
            match value {
                Some(list) if list.starts_with(b"[") => {
                    if self.list(list, 0, context, items).is_none() || self.is_over {
                        return;
                    }
                }
                other => {
                    let seen = other.unwrap_or_default();
                    self.unknown(seen, context, || {
                        let error = "no list of records where there should be one".to_owned();
                        (Reason::UnrecognisedEnvelope, error)
                    });
                }
            }
        }
        if is_empty {
            self.skip(Skip::NoRecords);
        }
    }

    pub(super) fn carrier(
        &mut self,
        carrier: &Carrier<'_>,
        context: WrapperContext<'_>,
        items: Items,
    ) {
        // An element of a wrapper's list was counted with its wrapper.
        let context = if items == Items::Any {
            let Some(context) = self.deeper(context) else {
                return;
            };
            context
        } else {
            context
        };
        let context = WrapperContext {
            envelope: carrier.envelope,
            time: carrier.time.and_then(time::parse).or(context.time),
            custom: context.custom || carrier.custom,
            otherwise: carrier.otherwise.or(context.otherwise),
            ..context
        };
        match carrier.coding {
            Coding::Json => self.value(carrier.value, context),
            Coding::Base64 => self.base64_value(carrier.value, context),
            Coding::AnyValue => match otel::body(carrier.value) {
                Body::Text(text) => self.string(text, context),
                Body::Bytes(text) => self.base64_value(text, context),
                Body::Structure => {
                    self.written("OpenTelemetry", otel::write, carrier.value, context);
                }
                Body::Other => self.skip(Skip::NotCloudtrail),
            },
            Coding::DynamoDb => self.written("DynamoDB", dynamodb::write, carrier.value, context),
            Coding::Row => self.written("Athena", rows::write, carrier.value, context),
            Coding::Columns => self.columns(carrier.value, context),
        }
    }

    /// Goes on with the JSON that a value of another notation stands for.
    fn written(&mut self, notation: &str, write: Write, value: &[u8], context: WrapperContext<'_>) {
        let write = |limit, into: &mut Vec<u8>| {
            write(value, limit, into).map_err(|error| match error {
                AnyValueError::TooLong => LayerError::TooLarge,
                AnyValueError::Malformed => {
                    LayerError::Corrupt("not a value of its protocol".to_owned())
                }
            })
        };
        // An item of DynamoDB is a row, too; what is a record is told from one first.
        self.decoded(notation, 0, context, write, |walk, text| {
            walk.columns(text, context);
        });
    }

    /// A value that should be a string of base64. Some write the JSON itself in its place.
    fn base64_value(&mut self, value: &[u8], context: WrapperContext<'_>) {
        let Some(inside) = text::string_inside(value) else {
            return self.value(value, context);
        };
        self.unescaped(inside, context, |walk, text| match scan::trim(text) {
            [] => walk.skip(Skip::Empty),
            [b'{' | b'[' | b'"', ..] => walk.bytes(text, context),
            text => walk.base64(text, context),
        });
    }
}
