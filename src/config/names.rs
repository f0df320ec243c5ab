//! The lists of names that settings of `detection` have as their defaults.
//!
//! `*` stands for any characters and `?` for one. In lists of roles and of user agents, an entry without them counts where it
//! stands as a name, and not as letters of another one; an entry with a `!` before it is an exception.

/// Made for emergencies, so that each use is worth a look.
pub(super) const SENSITIVE_PRINCIPALS: &[&str] = &["*break*glass*", "*emergency*", "*firecall*"];

/// By the first part of the host names under which they call.
pub(super) const PROVISIONING_SERVICES: &[&str] = &[
    "cloudformation",
    "cloudcontrolapi",
    "servicecatalog",
    "elasticbeanstalk",
];

/// The last three are roles that AWS Organizations, Control Tower and StackSets make, with all permissions. Deep Security is
/// a product whose agents may do little.
pub(super) const PRIVILEGED_ROLES: &[&str] = &[
    "*admin*",
    "*poweruser*",
    "root",
    "*break*glass*",
    "security",
    "!*deep?security*",
    "!*deepsecurity*",
    "*audit*",
    "*orgmaster*",
    "deploy",
    "OrganizationAccountAccessRole",
    "AWSControlTowerExecution",
    "stacksets-exec-*",
];

pub(super) const SECURITY_TOOLING: &[&str] = &[
    "ssm",
    "*guardduty*",
    "*falcon*",
    "falco",
    "*crowdstrike*",
    "*cloudwatch*",
    "*backup*",
    "*inspector*",
    "logging",
    "siem",
    "*sentinel*",
    "*wazuh*",
    "*datadog*",
    "*qualys*",
    "*lacework*",
    "*sysdig*",
    "*carbon?black*",
    "*carbonblack*",
    "*splunk*",
    "*elastic?agent*",
    "*elasticagent*",
    "*deep?security*",
    "*deepsecurity*",
];

/// Karpenter writes `karpenter.sh-<version>`, and Cluster API's provider for AWS `aws.cluster.x-k8s.io/<version>`. kOps writes
/// nothing of its own: it is known where `AWS_SDK_UA_APP_ID` says it.
pub(super) const IAC_USER_AGENTS: &[&str] = &[
    "*terraform*",
    "*pulumi*",
    "*cloudformation*",
    "*aws-cdk*",
    "*crossplane*",
    "*opentofu*",
    "*hashicorp*",
    "*eksctl*",
    "*ansible*",
    "*karpenter.sh-*",
    "aws.cluster.x-k8s.io",
    "kops",
];

/// Kali, Parrot and Pentoo are systems: the releases of their kernels name them.
pub(super) const ATTACK_TOOL_USER_AGENTS: &[&str] = &[
    "pacu",
    "cloudgoat",
    "stratus-red-team",
    "kali",
    "kali-linux",
    "parrot",
    "parrot-os",
    "pentoo",
    "enumerate-iam",
    "cloudfox",
    "scoutsuite",
    "trufflehog",
];

/// A list as settings have it.
pub(super) fn of(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
