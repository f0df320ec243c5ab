//! The invented company whose CloudTrail this is: its accounts, and who acts in them. Nothing here was ever anybody's:
//! account ids are documentation's, addresses are from the ranges that RFC 5737 keeps for examples or private, and every
//! key ends in EXAMPLE.

use super::random::{Random, WeightedChoice};

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
pub(super) enum CallerKind {
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

impl CallerKind {
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
#[derive(Debug, Clone)]
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
pub(super) struct Company {
    kinds: Vec<(CallerKind, WeightedChoice<Principal>)>,
    anyone: WeightedChoice<Principal>,
}

impl Company {
    pub(super) fn new(random: &mut Random) -> Self {
        let [first, rest @ ..] = ACCOUNTS;
        let mut choice = |kind: CallerKind| {
            let mut principal =
                |account: Account, number: usize| principal(kind, account, number, random);
            let head = principal(first, 0);
            let mut tail = Vec::new();
            for account in std::iter::once(first).chain(rest) {
                for number in 0..4 {
                    tail.push(principal(account, number));
                }
            }
            WeightedChoice::new(head, tail)
        };
        Self {
            kinds: CallerKind::ALL.map(|kind| (kind, choice(kind))).into(),
            anyone: choice(CallerKind::Key),
        }
    }

    pub(super) fn draw(&self, kind: CallerKind, random: &mut Random) -> &Principal {
        self.kinds
            .iter()
            .find(|(of, _)| *of == kind)
            .map_or(&self.anyone, |(_, choice)| choice)
            .draw(random)
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
fn principal(kind: CallerKind, account: Account, number: usize, random: &mut Random) -> Principal {
    let Account { id, partition, .. } = account;
    let person = random.word(PEOPLE);
    let (linked, service) = LINKED
        .get(number % LINKED.len())
        .copied()
        .unwrap_or(("AWSServiceRoleForConfig", "config"));
    let address = address(kind, service, random);
    let date = format!(":{:02}:{:02}Z", random.below(60), random.below(60));
    let user = format!("arn:{partition}:iam::{id}:user/{person}");
    let (before, after, arn) = match kind {
        CallerKind::Key => (
            format!(
                r#"{{"type":"IAMUser","principalId":"{}","arn":"{user}","accountId":"{id}","accessKeyId":"{}","userName":"{person}"}}"#,
                example_id("AIDA", 21, random),
                example_id("AKIA", 20, random)
            ),
            String::new(),
            user,
        ),
        CallerKind::Console => (
            format!(
                r#"{{"type":"IAMUser","principalId":"{}","arn":"{user}","accountId":"{id}","accessKeyId":"{}","userName":"{person}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":""#,
                example_id("AIDA", 21, random),
                example_id("ASIA", 20, random)
            ),
            format!(r#"{date}","mfaAuthenticated":"true"}}}}}}"#),
            user,
        ),
        CallerKind::Root => {
            let arn = format!("arn:{partition}:iam::{id}:root");
            let before = format!(
                r#"{{"type":"Root","principalId":"{id}","arn":"{arn}","accountId":"{id}","accessKeyId":"{}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":""#,
                example_id("ASIA", 20, random)
            );
            let mfa = random.word(&["true", "false"]);
            (
                before,
                format!(r#"{date}","mfaAuthenticated":"{mfa}"}}}}}}"#),
                arn,
            )
        }
        CallerKind::Service => (
            format!(r#"{{"type":"AWSService","invokedBy":"{address}"}}"#),
            String::new(),
            address.clone(),
        ),
        CallerKind::Build
        | CallerKind::Instance
        | CallerKind::Function
        | CallerKind::Person
        | CallerKind::Linked
        | CallerKind::Stack => {
            let (before, arn) = assumed_role(kind, account, (linked, service), person, random);
            let after = match kind {
                CallerKind::Instance => {
                    format!(r#"{date}","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0"}}}}"#)
                }
                CallerKind::Linked | CallerKind::Stack => {
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
    kind: CallerKind,
    account: Account,
    (linked, service): (&str, &str),
    person: &str,
    random: &mut Random,
) -> (String, String) {
    let Account { id, partition, .. } = account;
    let team = random.word(TEAMS);
    let (path, role, session) = match kind {
        CallerKind::Build => (
            String::new(),
            format!("github-actions-{team}-deploy"),
            format!("GitHubActions-{team}-{}", random.below(1 << 33)),
        ),
        CallerKind::Instance => (
            String::new(),
            format!("{team}-web-instance-role"),
            format!("i-0{:016x}", random.next()),
        ),
        CallerKind::Function => (
            String::new(),
            format!("{team}-worker-lambda-role"),
            format!("{team}-worker-{}", random.word(&["prod", "staging"])),
        ),
        CallerKind::Linked => (
            format!("aws-service-role/{service}.amazonaws.com/"),
            linked.to_owned(),
            format!("{service}-session"),
        ),
        _ => (
            "aws-reserved/sso.amazonaws.com/".to_owned(),
            format!(
                "AWSReservedSSO_{}_{:016x}",
                random.word(PERMISSION_SETS),
                random.next()
            ),
            format!("{person}@example.com"),
        ),
    };
    let federation = if kind == CallerKind::Build {
        format!(
            r#"{{"federatedProvider":"arn:{partition}:iam::{id}:oidc-provider/token.actions.githubusercontent.com","attributes":{{}}}}"#
        )
    } else {
        "{}".to_owned()
    };
    let role_id = example_id("AROA", 21, random);
    let arn = format!("arn:{partition}:sts::{id}:assumed-role/{role}/{session}");
    let before = format!(
        r#"{{"type":"AssumedRole","principalId":"{role_id}:{session}","arn":"{arn}","accountId":"{id}","accessKeyId":"{}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"arn:{partition}:iam::{id}:role/{path}{role}","accountId":"{id}","userName":"{role}"}},"webIdFederationData":{federation},"attributes":{{"creationDate":""#,
        example_id("ASIA", 20, random)
    );
    (before, arn)
}

/// Where a kind of principal calls from; a service-linked role from its service.
fn address(kind: CallerKind, service: &str, random: &mut Random) -> String {
    let host = 1 + random.below(254);
    match kind {
        CallerKind::Key | CallerKind::Build => format!("198.51.100.{host}"),
        CallerKind::Console | CallerKind::Person | CallerKind::Root => format!("203.0.113.{host}"),
        CallerKind::Instance => format!("192.0.2.{host}"),
        CallerKind::Function => format!("10.20.{}.{host}", random.below(256)),
        CallerKind::Linked => format!("{service}.amazonaws.com"),
        CallerKind::Service => format!("{}.amazonaws.com", random.word(SERVICES)),
        CallerKind::Stack => "cloudformation.amazonaws.com".to_owned(),
    }
}

/// An id in AWS's form that says what it is: `AKIA…EXAMPLE`.
fn example_id(prefix: &str, length: usize, random: &mut Random) -> String {
    const ALPHABET: &[&str] = &[
        "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R",
        "S", "T", "U", "V", "W", "X", "Y", "Z", "2", "3", "4", "5", "6", "7",
    ];
    let mut id = prefix.to_owned();
    while id.len() < length - "EXAMPLE".len() {
        id.push_str(random.word(ALPHABET));
    }
    id + "EXAMPLE"
}
