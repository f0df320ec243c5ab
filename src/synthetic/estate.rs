//! The invented company whose CloudTrail this is: its accounts, and who acts in them. Nothing here was ever anybody's:
//! account ids are documentation's, addresses are from the ranges that RFC 5737 keeps for examples or private, and every
//! key ends in EXAMPLE.

use super::stream::{Lot, Stream};

/// An account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) id: &'static str,
    pub(super) partition: &'static str,
    pub(super) regions: &'static [&'static str],
    /// Where the global services (IAM, STS) log.
    pub(super) home: &'static str,
}

const COMMERCIAL: &[&str] = &[
    "us-east-1",
    "us-east-1",
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-2",
];
const GOVERNMENT: &[&str] = &["us-gov-west-1", "us-gov-east-1"];

const fn commercial(id: &'static str) -> Account {
    Account {
        id,
        partition: "aws",
        regions: COMMERCIAL,
        home: "us-east-1",
    }
}

const ACCOUNTS: [Account; 7] = [
    commercial("111122223333"),
    commercial("444455556666"),
    commercial("123456789012"),
    commercial("777788889999"),
    commercial("222233334444"),
    commercial("555566667777"),
    Account {
        id: "888877776666",
        partition: "aws-us-gov",
        regions: GOVERNMENT,
        home: "us-gov-west-1",
    },
];

/// What a principal is, which decides how its identity, its program and its address look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An IAM user with a long-lived key.
    Key,
    /// An IAM user who signed in to the console with MFA.
    Console,
    /// A build's role, through web identity federation.
    Build,
    /// An EC2 instance's own credentials.
    Instance,
    /// A Lambda function's role.
    Function,
    /// A person through IAM Identity Center.
    Person,
    /// A service-linked role at work.
    Linked,
    /// A service, in nobody's name.
    Service,
    /// The root user.
    Root,
    /// CloudFormation, in the name of the person who started it.
    Stack,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Key,
        Self::Console,
        Self::Build,
        Self::Instance,
        Self::Function,
        Self::Person,
        Self::Linked,
        Self::Service,
        Self::Root,
        Self::Stack,
    ];
}

/// Someone or something that calls AWS.
#[derive(Debug)]
pub(super) struct Principal {
    pub(super) account: Account,
    /// `userIdentity` up to the hour in which its session began, or whole where it has no session.
    pub(super) before: String,
    /// The rest of `userIdentity`, from the minutes of that hour on; empty where it has no session.
    pub(super) after: String,
    pub(super) arn: String,
    /// An address, or the service that calls.
    pub(super) address: String,
}

/// Everyone, by kind.
#[derive(Debug)]
pub(super) struct Estate {
    kinds: Vec<(Kind, Lot<Principal>)>,
    anyone: Lot<Principal>,
}

impl Estate {
    pub(super) fn new(stream: &mut Stream) -> Self {
        let [first, rest @ ..] = ACCOUNTS;
        let mut lot = |kind: Kind| {
            let mut principal =
                |account: Account, number: usize| principal(kind, account, number, stream);
            let head = principal(first, 0);
            let mut tail = Vec::new();
            for account in std::iter::once(first).chain(rest) {
                for number in 0..4 {
                    tail.push(principal(account, number));
                }
            }
            Lot::new(head, tail)
        };
        Self {
            kinds: Kind::ALL.map(|kind| (kind, lot(kind))).into(),
            anyone: lot(Kind::Key),
        }
    }

    pub(super) fn draw(&self, kind: Kind, stream: &mut Stream) -> &Principal {
        self.kinds
            .iter()
            .find(|(of, _)| *of == kind)
            .map_or(&self.anyone, |(_, lot)| lot)
            .draw(stream)
    }
}

const PEOPLE: &[&str] = &[
    "ana.silva",
    "bob.okafor",
    "chen.wei",
    "dana.levi",
    "emil.novak",
    "fatima.khan",
    "greta.lund",
    "hugo.martin",
    "ines.costa",
    "jonas.berg",
    "kira.ito",
    "liam.doyle",
];
const TEAMS: &[&str] = &[
    "payments", "ledger", "orders", "search", "catalog", "identity", "ingest", "reports",
];
const PERMISSION_SETS: &[&str] = &[
    "AdministratorAccess",
    "PlatformEngineer",
    "ReadOnlyAccess",
    "SecurityAudit",
];
const SERVICES: &[&str] = &["ec2", "ecs-tasks", "lambda", "eks", "glue"];
const LINKED: &[(&str, &str)] = &[
    ("AWSServiceRoleForAutoScaling", "autoscaling"),
    ("AWSServiceRoleForConfig", "config"),
    ("AWSServiceRoleForAmazonGuardDuty", "guardduty"),
    ("AWSServiceRoleForAmazonInspector2", "inspector2"),
    ("AWSServiceRoleForSupport", "support"),
];

/// Draws one principal of a kind.
fn principal(kind: Kind, account: Account, number: usize, stream: &mut Stream) -> Principal {
    let Account { id, partition, .. } = account;
    let person = stream.word(PEOPLE);
    let (linked, service) = LINKED
        .get(number % LINKED.len())
        .copied()
        .unwrap_or(("AWSServiceRoleForConfig", "config"));
    let address = address(kind, service, stream);
    let date = format!(":{:02}:{:02}Z", stream.below(60), stream.below(60));
    let user = format!("arn:{partition}:iam::{id}:user/{person}");
    let (before, after, arn) = match kind {
        Kind::Key => (
            format!(
                r#"{{"type":"IAMUser","principalId":"{}","arn":"{user}","accountId":"{id}","accessKeyId":"{}","userName":"{person}"}}"#,
                example_id("AIDA", 21, stream),
                example_id("AKIA", 20, stream)
            ),
            String::new(),
            user,
        ),
        Kind::Console => (
            format!(
                r#"{{"type":"IAMUser","principalId":"{}","arn":"{user}","accountId":"{id}","accessKeyId":"{}","userName":"{person}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":""#,
                example_id("AIDA", 21, stream),
                example_id("ASIA", 20, stream)
            ),
            format!(r#"{date}","mfaAuthenticated":"true"}}}}}}"#),
            user,
        ),
        Kind::Root => {
            let arn = format!("arn:{partition}:iam::{id}:root");
            let before = format!(
                r#"{{"type":"Root","principalId":"{id}","arn":"{arn}","accountId":"{id}","accessKeyId":"{}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":""#,
                example_id("ASIA", 20, stream)
            );
            let mfa = stream.word(&["true", "false"]);
            (
                before,
                format!(r#"{date}","mfaAuthenticated":"{mfa}"}}}}}}"#),
                arn,
            )
        }
        Kind::Service => (
            format!(r#"{{"type":"AWSService","invokedBy":"{address}"}}"#),
            String::new(),
            address.clone(),
        ),
        Kind::Build
        | Kind::Instance
        | Kind::Function
        | Kind::Person
        | Kind::Linked
        | Kind::Stack => {
            let (before, arn) = assumed_role(kind, account, (linked, service), person, stream);
            let after = match kind {
                Kind::Instance => {
                    format!(r#"{date}","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0"}}}}"#)
                }
                Kind::Linked | Kind::Stack => {
                    format!(r#"{date}","mfaAuthenticated":"false"}}}},"invokedBy":"{address}"}}"#)
                }
                _ => format!(r#"{date}","mfaAuthenticated":"false"}}}}}}"#),
            };
            (before, after, arn)
        }
    };
    Principal {
        account,
        before,
        after,
        arn,
        address,
    }
}

/// The identity of an assumed role up to its session's date, and its ARN.
fn assumed_role(
    kind: Kind,
    account: Account,
    (linked, service): (&str, &str),
    person: &str,
    stream: &mut Stream,
) -> (String, String) {
    let Account { id, partition, .. } = account;
    let team = stream.word(TEAMS);
    let (path, role, session) = match kind {
        Kind::Build => (
            String::new(),
            format!("github-actions-{team}-deploy"),
            format!("GitHubActions-{team}-{}", stream.below(1 << 33)),
        ),
        Kind::Instance => (
            String::new(),
            format!("{team}-web-instance-role"),
            format!("i-0{:016x}", stream.next()),
        ),
        Kind::Function => (
            String::new(),
            format!("{team}-worker-lambda-role"),
            format!("{team}-worker-{}", stream.word(&["prod", "staging"])),
        ),
        Kind::Linked => (
            format!("aws-service-role/{service}.amazonaws.com/"),
            linked.to_owned(),
            format!("{service}-session"),
        ),
        _ => (
            "aws-reserved/sso.amazonaws.com/".to_owned(),
            format!(
                "AWSReservedSSO_{}_{:016x}",
                stream.word(PERMISSION_SETS),
                stream.next()
            ),
            format!("{person}@example.com"),
        ),
    };
    let federation = if kind == Kind::Build {
        format!(
            r#"{{"federatedProvider":"arn:{partition}:iam::{id}:oidc-provider/token.actions.githubusercontent.com","attributes":{{}}}}"#
        )
    } else {
        "{}".to_owned()
    };
    let role_id = example_id("AROA", 21, stream);
    let arn = format!("arn:{partition}:sts::{id}:assumed-role/{role}/{session}");
    let before = format!(
        r#"{{"type":"AssumedRole","principalId":"{role_id}:{session}","arn":"{arn}","accountId":"{id}","accessKeyId":"{}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"arn:{partition}:iam::{id}:role/{path}{role}","accountId":"{id}","userName":"{role}"}},"webIdFederationData":{federation},"attributes":{{"creationDate":""#,
        example_id("ASIA", 20, stream)
    );
    (before, arn)
}

/// Where a kind of principal calls from; a service-linked role from its service.
fn address(kind: Kind, service: &str, stream: &mut Stream) -> String {
    let host = 1 + stream.below(254);
    match kind {
        Kind::Key | Kind::Build => format!("198.51.100.{host}"),
        Kind::Console | Kind::Person | Kind::Root => format!("203.0.113.{host}"),
        Kind::Instance => format!("192.0.2.{host}"),
        Kind::Function => format!("10.20.{}.{host}", stream.below(256)),
        Kind::Linked => format!("{service}.amazonaws.com"),
        Kind::Service => format!("{}.amazonaws.com", stream.word(SERVICES)),
        Kind::Stack => "cloudformation.amazonaws.com".to_owned(),
    }
}

/// An id in AWS's form that says what it is: `AKIA…EXAMPLE`.
fn example_id(prefix: &str, length: usize, stream: &mut Stream) -> String {
    const ALPHABET: &[&str] = &[
        "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R",
        "S", "T", "U", "V", "W", "X", "Y", "Z", "2", "3", "4", "5", "6", "7",
    ];
    let mut id = prefix.to_owned();
    while id.len() < length - "EXAMPLE".len() {
        id.push_str(stream.word(ALPHABET));
    }
    id + "EXAMPLE"
}
