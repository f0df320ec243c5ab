//! Writes one record, in CloudTrail's own key order, compact.

use super::calls::{self, CALLS, Call, EventClass, LOOK_ALIKE, REMOVAL, REMOVALS, Removal};
use super::clock::Clock;
use super::company::{CallerKind, Company, Principal};
use super::random::{Random, WeightedChoice};
use super::sequel::{Drawn, Sequels};
use super::template::{Blanks, upper, uuid};

/// One in so many records is [`LOOK_ALIKE`].
const LOOK_ALIKES: u64 = 20_000;
/// Records are this far apart at most, in milliseconds.
const STEP: u64 = 40;

/// Writes records, one after another, through time.
#[derive(Debug)]
pub(super) struct RecordWriter {
    random: Random,
    clock: Clock,
    company: Company,
    calls: WeightedChoice<&'static Call>,
    removals: WeightedChoice<&'static Removal>,
    wrapper_fields: WrapperFields,
    sequels: Sequels,
}

/// What a wrapper says about the record in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WrapperFields {
    pub(super) service: &'static str,
    pub(super) account: &'static str,
    pub(super) region: &'static str,
    pub(super) signs_in: bool,
}

/// How a call ended.
enum CallResult {
    Success,
    /// Refused: the parameters are not recorded.
    Refused(&'static str, &'static str),
    /// Failed after it was allowed.
    Failed(&'static str, &'static str),
}

impl RecordWriter {
    pub(super) fn new(mut random: Random) -> Self {
        let [first_call, ..] = &CALLS;
        let calls = CALLS
            .iter()
            .flat_map(|call| std::iter::repeat_n(call, call.weight));
        let [first_removal, removals @ ..] = &REMOVALS;
        Self {
            clock: Clock::new(),
            company: Company::new(&mut random),
            calls: WeightedChoice::new(first_call, calls),
            removals: WeightedChoice::new(first_removal, removals),
            wrapper_fields: WrapperFields::default(),
            sequels: Sequels::new(0.0, Random::new(0)),
            random,
        }
    }

    /// From now on, something follows this fraction of removals.
    pub(super) fn follow_removals(&mut self, rate: f64, random: Random) {
        self.sequels = Sequels::new(rate, random);
    }

    /// The last record's own data, for its wrapper.
    pub(super) const fn wrapper_fields(&self) -> WrapperFields {
        self.wrapper_fields
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
        uuid(self.random.next(), self.random.next(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends one record: the event that `trailtag` looks for, or another.
    pub(super) fn write(&mut self, removal: bool, out: &mut Vec<u8>) {
        self.clock.advance(self.random.below(STEP));
        if removal {
            let way = *self.removals.draw(&mut self.random);
            let result = match way.failure {
                None => CallResult::Success,
                Some((code @ "AccessDenied", message)) => CallResult::Refused(code, message),
                Some((code, message)) => CallResult::Failed(code, message),
            };
            self.event(&REMOVAL, way.caller, way.agent, &result, out);
            return;
        }
        if let Some(sequel) = self.sequels.due(self.clock.millis()) {
            let (clock, random) = (&self.clock, &mut self.random);
            let success = CallResult::Success;
            self.wrapper_fields = sequel.drawn().write(&success, clock, random, out);
            return;
        }
        let call = if self.random.below(LOOK_ALIKES) == 0 {
            &LOOK_ALIKE
        } else {
            self.calls.draw(&mut self.random)
        };
        let callers = call.callers;
        let at = usize::try_from(self.random.below(callers.len() as u64)).unwrap_or_default();
        let caller = callers.get(at).copied().unwrap_or(CallerKind::Key);
        let result = self.result(call, caller);
        self.event(call, caller, None, &result, out);
    }

    /// About 5 in 100 calls fail: mostly for want of permission.
    fn result(&mut self, call: &'static Call, caller: CallerKind) -> CallResult {
        if call.class == EventClass::SignIn || matches!(caller, CallerKind::Service) {
            return CallResult::Success;
        }
        match self.random.below(100) {
            0..2 if call.service == "ec2" => CallResult::Refused(
                "Client.UnauthorizedOperation",
                "You are not authorized to perform this operation. User: %x is not authorized to perform: ec2:%E on resource: * because no identity-based policy allows the ec2:%E action. Encoded authorization failure message: %Z",
            ),
            0..2 => CallResult::Refused(
                "AccessDenied",
                "User: %x is not authorized to perform: %s:%E on resource: arn:%p:%s:%r:%a:%n because no identity-based policy allows the %s:%E action",
            ),
            2..5 => {
                let (code, message) = call.failure;
                CallResult::Failed(code, message)
            }
            _ => CallResult::Success,
        }
    }

    fn event(
        &mut self,
        call: &'static Call,
        caller: CallerKind,
        agent: Option<&'static str>,
        result: &CallResult,
        out: &mut Vec<u8>,
    ) {
        let random = &mut self.random;
        let principal = self.company.draw(caller, random);
        let account = principal.account;
        let region = if is_global(call) {
            account.home
        } else {
            random.word(account.regions)
        };
        let agent = agent.unwrap_or_else(|| random.word(calls::agents(caller)));
        let subject = random.next();
        let drawn = Drawn {
            call,
            caller,
            principal,
            agent,
            region,
            subject,
        };
        if std::ptr::eq(call, &raw const REMOVAL) && matches!(result, CallResult::Success) {
            self.sequels.follow(self.clock.millis(), &drawn);
        }
        self.wrapper_fields = drawn.write(result, &self.clock, random, out);
    }
}

impl Drawn<'_> {
    fn write(
        &self,
        result: &CallResult,
        clock: &Clock,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> WrapperFields {
        let Self { call, region, .. } = *self;
        let account = self.principal.account;
        let event = Event {
            call,
            caller: self.caller,
            principal: self.principal,
            agent: self.agent,
            result,
            blanks: Blanks {
                account,
                region,
                service: call.service,
                action: call.action,
                arn: &self.principal.arn,
                time: clock.text(),
                subject: self.subject,
            },
        };
        event.who(clock.hour_before(), random, out);
        event.what(out);
        event.rest(random, out);
        WrapperFields {
            service: call.service,
            account: account.id,
            region,
            signs_in: call.class == EventClass::SignIn,
        }
    }
}

/// IAM and the sign-in log in one region of their partition.
fn is_global(call: &Call) -> bool {
    matches!(call.service, "iam" | "signin")
}

/// One record that is being written, in three parts.
struct Event<'a> {
    call: &'static Call,
    caller: CallerKind,
    principal: &'a Principal,
    agent: &'static str,
    result: &'a CallResult,
    blanks: Blanks<'a>,
}

impl Event<'_> {
    /// A service names itself as address and program, and uses no TLS of ours.
    const fn is_by_service(&self) -> bool {
        matches!(
            self.caller,
            CallerKind::Linked | CallerKind::Service | CallerKind::Stack
        )
    }

    /// From `eventVersion` to `userAgent`.
    fn who(&self, hour_before: &str, random: &mut Random, out: &mut Vec<u8>) {
        let version = random.word(&["1.08", "1.09", "1.10", "1.11", "1.11", "1.11"]);
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
        if let CallResult::Refused(code, message) | CallResult::Failed(code, message) = self.result
        {
            out.extend_from_slice(br#","errorCode":""#);
            out.extend_from_slice(code.as_bytes());
            out.extend_from_slice(br#"","errorMessage":""#);
            self.blanks.fill(message, out);
            out.push(b'"');
        }
        out.extend_from_slice(br#","requestParameters":"#);
        if matches!(self.result, CallResult::Refused(..)) {
            out.extend_from_slice(b"null");
        } else {
            self.blanks.fill(self.call.request, out);
        }
        out.extend_from_slice(br#","responseElements":"#);
        if matches!(self.result, CallResult::Success) {
            self.blanks.fill(self.call.response, out);
        } else {
            out.extend_from_slice(b"null");
        }
        if self.call.service == "s3" {
            self.blanks.fill(
                r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"%z","bytesTransferredOut":%D}"#,
                out,
            );
        } else if self.call.class == EventClass::SignIn {
            out.extend_from_slice(
                br#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true&state=hashArgsFromTB_us-east-1","MobileVersion":"No","MFAUsed":"Yes"}"#,
            );
        }
    }

    /// From `requestID` to the end.
    fn rest(&self, random: &mut Random, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","requestID":""#);
        if self.call.service == "s3" {
            upper(random.next(), 16, out);
        } else {
            uuid(random.next(), random.next(), out);
        }
        out.extend_from_slice(br#"","eventID":""#);
        uuid(random.next(), random.next(), out);
        let reads = if self.call.reads { "true" } else { "false" };
        out.extend_from_slice(br#"","readOnly":"#);
        out.extend_from_slice(reads.as_bytes());
        if !self.call.resources.is_empty() {
            out.extend_from_slice(br#","resources":"#);
            self.blanks.fill(self.call.resources, out);
        }
        self.blanks.fill(
            match self.call.class {
                EventClass::Management => {
                    r#","eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"%a""#
                }
                EventClass::Data => {
                    r#","eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"%a""#
                }
                EventClass::SignIn => {
                    r#","eventType":"AwsConsoleSignIn","managementEvent":true,"recipientAccountId":"%a""#
                }
            },
            out,
        );
        if self.caller == CallerKind::Service {
            out.extend_from_slice(br#","sharedEventID":""#);
            uuid(random.next(), random.next(), out);
            out.push(b'"');
        }
        // A function's private address means a way through an interface endpoint.
        if self.caller == CallerKind::Function {
            self.blanks.fill(
                r#","vpcEndpointId":"vpce-%j","vpcEndpointAccountId":"%a""#,
                out,
            );
        }
        out.extend_from_slice(match self.call.class {
            EventClass::Data => br#","eventCategory":"Data""#,
            EventClass::Management | EventClass::SignIn => br#","eventCategory":"Management""#,
        });
        if !self.is_by_service() {
            let cipher = random.word(&["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]);
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
        let from_console = matches!(self.caller, CallerKind::Console | CallerKind::Root)
            || (self.caller == CallerKind::Person && self.agent.starts_with("Mozilla/"));
        if from_console && self.call.class != EventClass::SignIn {
            out.extend_from_slice(br#","sessionCredentialFromConsole":"true""#);
        }
        out.push(b'}');
    }
}
