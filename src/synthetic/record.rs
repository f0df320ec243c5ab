//! Writes one record, in CloudTrail's own key order, compact.

use super::calls::{self, CALLS, Call, Class, LOOK_ALIKE, REMOVAL, REMOVALS, Removal};
use super::clock::Clock;
use super::estate::{Estate, Kind, Principal};
use super::stream::{Lot, Stream};
use super::template::{Blanks, upper, uuid};

/// One in so many records is [`LOOK_ALIKE`].
const LOOK_ALIKES: u64 = 20_000;
/// Records are this far apart at most, in milliseconds.
const STEP: u64 = 40;

/// Writes records, one after another, through time.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Stream,
    clock: Clock,
    estate: Estate,
    calls: Lot<&'static Call>,
    removals: Lot<&'static Removal>,
    about: About,
}

/// What a wrapper says about the record in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About {
    pub(super) service: &'static str,
    pub(super) account: &'static str,
    pub(super) region: &'static str,
    pub(super) signs_in: bool,
}

/// How a call ended.
enum Outcome {
    Success,
    /// Refused: the parameters are not recorded.
    Refused(&'static str, &'static str),
    /// Failed after it was allowed.
    Failed(&'static str, &'static str),
}

impl Writer {
    pub(super) fn new(mut stream: Stream) -> Self {
        let [first_call, ..] = &CALLS;
        let calls = CALLS
            .iter()
            .flat_map(|call| std::iter::repeat_n(call, call.weight));
        let [first_removal, removals @ ..] = &REMOVALS;
        Self {
            clock: Clock::new(),
            estate: Estate::new(&mut stream),
            calls: Lot::new(first_call, calls),
            removals: Lot::new(first_removal, removals),
            about: About::default(),
            stream,
        }
    }

    /// The last record's own data, for its wrapper.
    pub(super) const fn about(&self) -> About {
        self.about
    }

    /// The last record's time, `2026-01-05T00:00:00Z`.
    pub(super) fn time(&self) -> &str {
        self.clock.text()
    }

    /// The last record's time in milliseconds since the epoch.
    pub(super) const fn millis(&self) -> u64 {
        self.clock.millis()
    }

    /// A fresh UUID.
    pub(super) fn uuid(&mut self) -> String {
        let mut text = Vec::with_capacity(36);
        uuid(self.stream.next(), self.stream.next(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends one record: the event that `trailtag` looks for, or another.
    pub(super) fn write(&mut self, removal: bool, out: &mut Vec<u8>) {
        self.clock.advance(self.stream.below(STEP));
        if removal {
            let way = *self.removals.draw(&mut self.stream);
            let outcome = match way.failure {
                None => Outcome::Success,
                Some((code @ "AccessDenied", message)) => Outcome::Refused(code, message),
                Some((code, message)) => Outcome::Failed(code, message),
            };
            self.event(&REMOVAL, way.caller, way.agent, &outcome, out);
            return;
        }
        let call = if self.stream.below(LOOK_ALIKES) == 0 {
            &LOOK_ALIKE
        } else {
            self.calls.draw(&mut self.stream)
        };
        let callers = call.callers;
        let at = usize::try_from(self.stream.below(callers.len() as u64)).unwrap_or_default();
        let caller = callers.get(at).copied().unwrap_or(Kind::Key);
        let outcome = self.outcome(call, caller);
        self.event(call, caller, None, &outcome, out);
    }

    /// About 5 in 100 calls fail: mostly for want of permission.
    fn outcome(&mut self, call: &'static Call, caller: Kind) -> Outcome {
        if call.class == Class::SignIn || matches!(caller, Kind::Service) {
            return Outcome::Success;
        }
        match self.stream.below(100) {
            0..2 if call.service == "ec2" => Outcome::Refused(
                "Client.UnauthorizedOperation",
                "You are not authorized to perform this operation. User: %x is not authorized to perform: ec2:%E on resource: * because no identity-based policy allows the ec2:%E action. Encoded authorization failure message: %Z",
            ),
            0..2 => Outcome::Refused(
                "AccessDenied",
                "User: %x is not authorized to perform: %s:%E on resource: arn:%p:%s:%r:%a:%n because no identity-based policy allows the %s:%E action",
            ),
            2..5 => {
                let (code, message) = call.failure;
                Outcome::Failed(code, message)
            }
            _ => Outcome::Success,
        }
    }

    fn event(
        &mut self,
        call: &'static Call,
        caller: Kind,
        agent: Option<&'static str>,
        outcome: &Outcome,
        out: &mut Vec<u8>,
    ) {
        let stream = &mut self.stream;
        let principal = self.estate.draw(caller, stream);
        let account = principal.account;
        let region = if is_global(call) {
            account.home
        } else {
            stream.word(account.regions)
        };
        self.about = About {
            service: call.service,
            account: account.id,
            region,
            signs_in: call.class == Class::SignIn,
        };
        let event = Event {
            call,
            caller,
            principal,
            agent: agent.unwrap_or_else(|| stream.word(calls::agents(caller))),
            outcome,
            blanks: Blanks {
                account,
                region,
                service: call.service,
                action: call.action,
                arn: &principal.arn,
                time: self.clock.text(),
                subject: stream.next(),
            },
        };
        event.who(self.clock.hour_before(), stream, out);
        event.what(out);
        event.rest(stream, out);
    }
}

/// IAM and the sign-in log in one region of their partition.
fn is_global(call: &Call) -> bool {
    matches!(call.service, "iam" | "signin")
}

/// One record that is being written, in three parts.
struct Event<'a> {
    call: &'static Call,
    caller: Kind,
    principal: &'a Principal,
    agent: &'static str,
    outcome: &'a Outcome,
    blanks: Blanks<'a>,
}

impl Event<'_> {
    /// A service names itself as address and program, and uses no TLS of ours.
    const fn is_by_service(&self) -> bool {
        matches!(self.caller, Kind::Linked | Kind::Service | Kind::Stack)
    }

    /// From `eventVersion` to `userAgent`.
    fn who(&self, hour_before: &str, stream: &mut Stream, out: &mut Vec<u8>) {
        let version = stream.word(&["1.08", "1.09", "1.10", "1.11", "1.11", "1.11"]);
        out.extend_from_slice(br#"{"eventVersion":""#);
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(br#"","userIdentity":"#);
        out.extend_from_slice(self.principal.before.as_bytes());
        if !self.principal.after.is_empty() {
            out.extend_from_slice(hour_before.as_bytes());
            out.extend_from_slice(self.principal.after.as_bytes());
        }
        self.blanks.fill(
            r#","eventTime":"%t","eventSource":"%s.amazonaws.com","eventName":"%E","awsRegion":"%r","sourceIPAddress":""#,
            out,
        );
        out.extend_from_slice(self.principal.address.as_bytes());
        out.extend_from_slice(br#"","userAgent":""#);
        if self.is_by_service() {
            out.extend_from_slice(self.principal.address.as_bytes());
        } else {
            self.blanks.fill(self.agent, out);
        }
        out.push(b'"');
    }

    /// From `errorCode` to `additionalEventData`.
    fn what(&self, out: &mut Vec<u8>) {
        if let Outcome::Refused(code, message) | Outcome::Failed(code, message) = self.outcome {
            out.extend_from_slice(br#","errorCode":""#);
            out.extend_from_slice(code.as_bytes());
            out.extend_from_slice(br#"","errorMessage":""#);
            self.blanks.fill(message, out);
            out.push(b'"');
        }
        out.extend_from_slice(br#","requestParameters":"#);
        if matches!(self.outcome, Outcome::Refused(..)) {
            out.extend_from_slice(b"null");
        } else {
            self.blanks.fill(self.call.request, out);
        }
        out.extend_from_slice(br#","responseElements":"#);
        if matches!(self.outcome, Outcome::Success) {
            self.blanks.fill(self.call.response, out);
        } else {
            out.extend_from_slice(b"null");
        }
        if self.call.service == "s3" {
            self.blanks.fill(
                r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"%z","bytesTransferredOut":%D}"#,
                out,
            );
        } else if self.call.class == Class::SignIn {
            out.extend_from_slice(
                br#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true&state=hashArgsFromTB_us-east-1","MobileVersion":"No","MFAUsed":"Yes"}"#,
            );
        }
    }

    /// From `requestID` to the end.
    fn rest(&self, stream: &mut Stream, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","requestID":""#);
        if self.call.service == "s3" {
            upper(stream.next(), 16, out);
        } else {
            uuid(stream.next(), stream.next(), out);
        }
        out.extend_from_slice(br#"","eventID":""#);
        uuid(stream.next(), stream.next(), out);
        let reads = if self.call.reads { "true" } else { "false" };
        out.extend_from_slice(br#"","readOnly":"#);
        out.extend_from_slice(reads.as_bytes());
        if !self.call.resources.is_empty() {
            out.extend_from_slice(br#","resources":"#);
            self.blanks.fill(self.call.resources, out);
        }
        self.blanks.fill(
            match self.call.class {
                Class::Management => {
                    r#","eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"%a""#
                }
                Class::Data => {
                    r#","eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"%a""#
                }
                Class::SignIn => {
                    r#","eventType":"AwsConsoleSignIn","managementEvent":true,"recipientAccountId":"%a""#
                }
            },
            out,
        );
        if self.caller == Kind::Service {
            out.extend_from_slice(br#","sharedEventID":""#);
            uuid(stream.next(), stream.next(), out);
            out.push(b'"');
        }
        // A function's private address means a way through an interface endpoint.
        if self.caller == Kind::Function {
            self.blanks.fill(
                r#","vpcEndpointId":"vpce-%j","vpcEndpointAccountId":"%a""#,
                out,
            );
        }
        out.extend_from_slice(match self.call.class {
            Class::Data => br#","eventCategory":"Data""#,
            Class::Management | Class::SignIn => br#","eventCategory":"Management""#,
        });
        if !self.is_by_service() {
            let cipher = stream.word(&["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]);
            out.extend_from_slice(br#","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":""#);
            out.extend_from_slice(cipher.as_bytes());
            self.blanks.fill(
                match self.call.service {
                    "s3" => r#"","clientProvidedHostHeader":"%b.s3.%r.amazonaws.com"}"#,
                    _ if is_global(self.call) => {
                        r#"","clientProvidedHostHeader":"%s.amazonaws.com"}"#
                    }
                    _ => r#"","clientProvidedHostHeader":"%s.%r.amazonaws.com"}"#,
                },
                out,
            );
        }
        let from_console = matches!(self.caller, Kind::Console | Kind::Root)
            || (self.caller == Kind::Person && self.agent.starts_with("Mozilla/"));
        if from_console && self.call.class != Class::SignIn {
            out.extend_from_slice(br#","sessionCredentialFromConsole":"true""#);
        }
        out.push(b'}');
    }
}
