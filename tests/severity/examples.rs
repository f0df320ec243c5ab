//! The labelled examples of the severity model.

use serde_json::{Value, json};

use super::records::{
    CLI, Site, TERRAFORM, assumed_root, denied, instance, linked_role, role, root, sso, stack,
    target, through, user_key, user_session,
};

/// An example: its number in the model's list, its site, its record, and what must come out.
pub(crate) type Example = (
    u8,
    Site,
    Value,
    (u8, &'static str),
    &'static [(&'static str, i64)],
    &'static [&'static str],
);

const SUCCESS: (&str, i64) = ("outcome.success", 35);
const DENIED: (&str, i64) = ("outcome.denied", 25);
const FAILED: (&str, i64) = ("outcome.failed_other", 10);
const KEY: (&str, i64) = ("actor.long_lived_key", 10);
const IAC: (&str, i64) = ("client.iac_user_agent", -10);
const INSTANCE: (&str, i64) = ("actor.ec2_instance_credentials", 25);
const OUTSIDE: (&str, i64) = ("network.outside_aws", 25);
const SENSITIVE: (&str, i64) = ("actor.sensitive_principal", 30);
const PROVISIONING: (&str, i64) = ("client.provisioning_service", -25);
const SERVICE: (&str, i64) = ("actor.aws_service", -25);
const NO_REQUEST: (&str, i64) = ("insufficient.request_parameters", 0);

/// Every labelled example that needs no second event. Where an example needs one, the first half of it stands here with
/// the score that it has by itself, marked by the number 0.
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn examples() -> Vec<Example> {
    let plain = Site::default();
    let lists = Site {
        principals: true,
        networks: true,
        ..plain
    };
    let networks = Site {
        networks: true,
        ..plain
    };
    let threats = Site {
        threats: true,
        ..plain
    };
    let inventory = Site {
        inventory: true,
        ..plain
    };
    let aws = Site {
        aws: true,
        ..plain
    };
    // 192.0.2.7 is an address of AWS at these sites, and 203.0.113.7 is not.
    let from = |address: &str| json!({"userIdentity": instance(), "sourceIPAddress": address});
    let mut by_endpoint = from("203.0.113.7");
    by_endpoint["vpcEndpointId"] = json!("vpce-0123456789abcdef0");
    let mut elsewhere = denied(&instance(), CLI);
    elsewhere["sourceIPAddress"] = json!("203.0.113.7");
    let mut gone = from("203.0.113.7");
    gone["errorCode"] = json!("NoSuchEntityException");
    let mut other_account = role("ops", "eve");
    other_account["accountId"] = json!("444455556666");
    let mut firecall = user_session("true");
    firecall["userName"] = json!("firecall-1");
    let linked = through("autoscaling.amazonaws.com", linked_role());
    let mut linked_elsewhere = linked.clone();
    linked_elsewhere["sourceIPAddress"] = json!("203.0.113.7");
    linked_elsewhere["userAgent"] = json!(CLI);
    let service = json!({"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"});
    let instance = json!({"userIdentity": instance()});
    vec![
        (
            1,
            plain,
            stack(),
            (10, "informational"),
            &[SUCCESS, PROVISIONING],
            &[],
        ),
        (
            3,
            lists,
            json!({"userIdentity": role("deploy-ci", "run-7"), "userAgent": TERRAFORM, "sourceIPAddress": "198.51.100.7"}),
            (5, "informational"),
            &[SUCCESS, IAC, ("actor.allow_listed", -20)],
            &[],
        ),
        (
            4,
            plain,
            json!({"userIdentity": user_key(), "userAgent": TERRAFORM}),
            (35, "low"),
            &[SUCCESS, KEY, IAC],
            &[],
        ),
        (
            5,
            networks,
            json!({"userIdentity": role("ci", "run-7"), "userAgent": TERRAFORM}),
            (40, "medium"),
            &[SUCCESS, ("network.not_allow_listed", 15), IAC],
            &[],
        ),
        (
            6,
            plain,
            json!({"userIdentity": sso(), "userAgent": "Mozilla/5.0", "sessionCredentialFromConsole": "true"}),
            (40, "medium"),
            &[SUCCESS, ("client.console", 5)],
            &[],
        ),
        (
            7,
            plain,
            json!({"userIdentity": user_key()}),
            (45, "medium"),
            &[SUCCESS, KEY],
            &[],
        ),
        (8, plain, json!({}), (35, "low"), &[SUCCESS], &[]),
        (
            9,
            plain,
            json!({"userIdentity": user_session("false"), "userAgent": "Mozilla/5.0", "sessionCredentialFromConsole": true}),
            (55, "medium"),
            &[SUCCESS, ("actor.no_mfa", 15), ("client.console", 5)],
            &[],
        ),
        (
            10,
            plain,
            json!({"userIdentity": root(Some("true"))}),
            (75, "high"),
            &[SUCCESS, ("actor.root", 40)],
            &["T1078.004"],
        ),
        (
            11,
            plain,
            json!({"userIdentity": root(Some("false"))}),
            (90, "critical"),
            &[SUCCESS, ("actor.root", 40), ("actor.root_no_mfa", 15)],
            &["T1078.004"],
        ),
        (
            12,
            plain,
            json!({"userIdentity": root(None)}),
            (90, "critical"),
            &[SUCCESS, ("actor.root", 40), ("actor.root_no_mfa", 15)],
            &["T1078.004"],
        ),
        (
            13,
            plain,
            instance.clone(),
            (60, "medium"),
            &[SUCCESS, ("actor.ec2_instance_credentials", 25)],
            &["T1078.004"],
        ),
        (
            14,
            inventory,
            instance,
            (75, "high"),
            &[
                SUCCESS,
                ("actor.ec2_instance_credentials", 25),
                ("target.in_use", 15),
            ],
            &["T1531", "T1078.004"],
        ),
        (
            15,
            plain,
            denied(&user_key(), CLI),
            (35, "low"),
            &[DENIED, KEY, NO_REQUEST],
            &[],
        ),
        (
            16,
            plain,
            denied(&role("ci", "run-7"), TERRAFORM),
            (15, "low"),
            &[DENIED, NO_REQUEST, IAC],
            &[],
        ),
        (
            19,
            plain,
            json!({"errorCode": "NoSuchEntityException", "errorMessage": "Instance Profile web cannot be found."}),
            (10, "informational"),
            &[FAILED],
            &[],
        ),
        (
            20,
            plain,
            json!({"errorCode": "ServiceFailureException", "errorMessage": "try again"}),
            (10, "informational"),
            &[FAILED],
            &[],
        ),
        (
            21,
            plain,
            json!({"userIdentity": user_key(), "errorCode": "ThrottlingException", "errorMessage": "Rate exceeded", "requestParameters": null}),
            (20, "low"),
            &[FAILED, KEY, NO_REQUEST],
            &[],
        ),
        (
            29,
            threats,
            json!({"userIdentity": role("ops", "eve"), "sourceIPAddress": "203.0.113.66"}),
            (65, "high"),
            &[SUCCESS, ("network.threat_listed", 30)],
            &["T1078.004"],
        ),
        (
            30,
            plain,
            json!({"userIdentity": user_key(), "userAgent": "Boto3/1.9.89 Python/3.8.1 Linux/5.10.0-kali9-amd64 Botocore/1.12.89"}),
            (75, "high"),
            &[SUCCESS, KEY, ("client.attack_tool", 30)],
            &["T1078.004"],
        ),
        (
            31,
            plain,
            json!({"userIdentity": sso(), "requestParameters": target("web", "OrgAdminRole")}),
            (45, "medium"),
            &[SUCCESS, ("target.privileged_role", 10)],
            &[],
        ),
        (
            32,
            inventory,
            json!({"userIdentity": user_key(), "requestParameters": target("ssm-agent", "agent-role")}),
            (75, "high"),
            &[
                SUCCESS,
                KEY,
                ("target.security_tooling", 15),
                ("target.in_use", 15),
            ],
            &["T1531", "T1562.001"],
        ),
        (
            33,
            plain,
            json!({"userIdentity": sso(), "userAgent": "aws-cli/2.15.0 exec-env/CloudShell", "sessionCredentialFromConsole": "true"}),
            (45, "medium"),
            &[SUCCESS, ("client.cloudshell", 10)],
            &[],
        ),
        (
            34,
            plain,
            json!({"userIdentity": {"type": "AWSAccount", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "accountId": "444455556666"}}),
            (65, "high"),
            &[
                SUCCESS,
                ("actor.external_identity", 10),
                ("actor.cross_account", 20),
            ],
            &[],
        ),
        (
            35,
            plain,
            json!({"userIdentity": null}),
            (35, "low"),
            &[SUCCESS, ("insufficient.user_identity", 0)],
            &[],
        ),
        (
            36,
            plain,
            json!({"requestParameters": null}),
            (35, "low"),
            &[SUCCESS, NO_REQUEST],
            &[],
        ),
        (
            37,
            inventory,
            json!({"userIdentity": sso(), "requestParameters": target("idle", "web-role")}),
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            38,
            inventory,
            json!({"userIdentity": sso()}),
            (50, "medium"),
            &[SUCCESS, ("target.in_use", 15)],
            &["T1531"],
        ),
        (
            39,
            plain,
            through("ssm.amazonaws.com", user_key()),
            (45, "medium"),
            &[SUCCESS, KEY],
            &[],
        ),
        (
            40,
            plain,
            through("cloudformation.amazonaws.com", user_key()),
            (20, "low"),
            &[SUCCESS, KEY, PROVISIONING],
            &[],
        ),
        (
            41,
            plain,
            json!({"userIdentity": role("break-glass", "jane")}),
            (65, "high"),
            &[SUCCESS, SENSITIVE],
            &[],
        ),
        (
            42,
            aws,
            from("203.0.113.7"),
            (85, "critical"),
            &[SUCCESS, INSTANCE, OUTSIDE],
            &["T1078.004"],
        ),
        (
            43,
            aws,
            from("192.0.2.7"),
            (60, "medium"),
            &[SUCCESS, INSTANCE],
            &["T1078.004"],
        ),
        (
            44,
            inventory,
            json!({"userIdentity": role("ops", "jane"), "requestParameters": target("fleet", "web-role")}),
            (65, "high"),
            &[SUCCESS, ("target.in_use", 15), ("target.in_use_widely", 15)],
            &["T1531"],
        ),
        (
            45,
            plain,
            json!({"userIdentity": other_account}),
            (65, "high"),
            &[SUCCESS, ("actor.external_identity", 10), ("actor.cross_account", 20)],
            &[],
        ),
        (
            46,
            plain,
            json!({"userIdentity": role("KarpenterControllerRole-prod", "karpenter"), "userAgent": "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.1 md/GOOS#linux karpenter.sh-1.4.0"}),
            (25, "low"),
            &[SUCCESS, IAC],
            &[],
        ),
        (
            47,
            plain,
            linked.clone(),
            (10, "informational"),
            &[SUCCESS, SERVICE],
            &[],
        ),
        // The borders of 39, 40 and 47: who acts, and through what.
        (
            0,
            plain,
            json!({"userIdentity": service, "sourceIPAddress": "autoscaling.amazonaws.com", "userAgent": "autoscaling.amazonaws.com"}),
            (10, "informational"),
            &[SUCCESS, SERVICE],
            &[],
        ),
        (
            0,
            plain,
            linked_elsewhere,
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            0,
            plain,
            through("servicecatalog.amazonaws.com", user_session("false")),
            (25, "low"),
            &[SUCCESS, ("actor.no_mfa", 15), PROVISIONING],
            &[],
        ),
        (
            0,
            plain,
            through("states.amazonaws.com", role("ops", "eve")),
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            0,
            plain,
            through("cloudformation.amazonaws.com", root(Some("false"))),
            (65, "high"),
            &[SUCCESS, ("actor.root", 40), ("actor.root_no_mfa", 15), PROVISIONING],
            &["T1078.004"],
        ),
        // A user agent is no service.
        (
            0,
            plain,
            json!({"userIdentity": user_key(), "userAgent": "cloudformation.amazonaws.com"}),
            (35, "low"),
            &[SUCCESS, KEY, IAC],
            &[],
        ),
        // Of 41: a user, a permission set, a session's name, and a denial.
        (
            0,
            plain,
            json!({"userIdentity": firecall}),
            (65, "high"),
            &[SUCCESS, SENSITIVE],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": role("AWSReservedSSO_EmergencyAccess_0123456789abcdef", "eve@example.com")}),
            (65, "high"),
            &[SUCCESS, SENSITIVE],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": role("ops", "break-glass")}),
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            0,
            plain,
            denied(&role("break-glass", "jane"), CLI),
            (55, "medium"),
            &[DENIED, SENSITIVE, NO_REQUEST],
            &[],
        ),
        // Of 42 and 43: a private address, an endpoint, a service, a denial, a failure, other credentials, no file.
        (
            0,
            aws,
            from("10.0.0.7"),
            (60, "medium"),
            &[SUCCESS, INSTANCE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            by_endpoint,
            (60, "medium"),
            &[SUCCESS, INSTANCE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            from("AWS Internal"),
            (60, "medium"),
            &[SUCCESS, INSTANCE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            from("2001:db8:b::7"),
            (85, "critical"),
            &[SUCCESS, INSTANCE, OUTSIDE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            from("192.0.2.128"),
            (85, "critical"),
            &[SUCCESS, INSTANCE, OUTSIDE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            elsewhere,
            (75, "high"),
            &[DENIED, INSTANCE, OUTSIDE, NO_REQUEST],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            gone,
            (35, "low"),
            &[FAILED, INSTANCE],
            &["T1078.004"],
        ),
        (
            0,
            aws,
            json!({"userIdentity": role("web-role", "jane")}),
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            0,
            plain,
            from("203.0.113.7"),
            (60, "medium"),
            &[SUCCESS, INSTANCE],
            &["T1078.004"],
        ),
        // Of 10 to 12: root through the organization.
        (
            0,
            plain,
            json!({"userIdentity": assumed_root()}),
            (75, "high"),
            &[SUCCESS, ("actor.root", 40)],
            &["T1078.004"],
        ),
        // Of 30 and 31: names, and letters of others.
        (
            0,
            plain,
            json!({"userIdentity": user_key(), "userAgent": "Boto3/1.34 Python/3.11.2 Linux/6.1.0-1parrot1-amd64"}),
            (75, "high"),
            &[SUCCESS, KEY, ("client.attack_tool", 30)],
            &["T1078.004"],
        ),
        (
            0,
            plain,
            json!({"userIdentity": user_key(), "userAgent": "my-kalibrate-agent/1.0"}),
            (45, "medium"),
            &[SUCCESS, KEY],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": user_key(), "userAgent": "parrot-ai-sdk/2.3"}),
            (45, "medium"),
            &[SUCCESS, KEY],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": sso(), "requestParameters": target("web", "OrganizationAccountAccessRole")}),
            (45, "medium"),
            &[SUCCESS, ("target.privileged_role", 10)],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": sso(), "requestParameters": target("rootless", "deployment-test")}),
            (35, "low"),
            &[SUCCESS],
            &[],
        ),
        (
            0,
            plain,
            json!({"userIdentity": sso(), "requestParameters": target("web", "DeepSecurityAgent")}),
            (50, "medium"),
            &[SUCCESS, ("target.security_tooling", 15)],
            &["T1562.001"],
        ),
        // Of 46: the others that Kubernetes has.
        (
            0,
            plain,
            json!({"userIdentity": role("capa-controllers", "capa"), "userAgent": "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.1 aws.cluster.x-k8s.io/v2.8.1"}),
            (25, "low"),
            &[SUCCESS, IAC],
            &[],
        ),
        // The borders of 44.
        (
            0,
            inventory,
            json!({"userIdentity": role("ops", "jane"), "requestParameters": target("fleet-50", "web-role")}),
            (65, "high"),
            &[SUCCESS, ("target.in_use", 15), ("target.in_use_widely", 15)],
            &["T1531"],
        ),
        (
            0,
            inventory,
            json!({"userIdentity": role("ops", "jane"), "requestParameters": target("fleet-49", "web-role")}),
            (50, "medium"),
            &[SUCCESS, ("target.in_use", 15)],
            &["T1531"],
        ),
        // The removal of 17, 18, 22, 23, 26 and 27 (a user's key) and of 24 and 28 (an allowed deployment), alone.
        (
            0,
            plain,
            json!({"userIdentity": user_key(), "requestParameters": target("app", "meek-role")}),
            (45, "medium"),
            &[SUCCESS, KEY],
            &[],
        ),
        (
            0,
            lists,
            json!({"userIdentity": role("deploy-ci", "run-7"), "userAgent": TERRAFORM, "sourceIPAddress": "198.51.100.8"}),
            (5, "informational"),
            &[SUCCESS, IAC, ("actor.allow_listed", -20)],
            &[],
        ),
        // What the table of factors says and no example shows.
        (
            0,
            plain,
            denied(&root(Some("true")), CLI),
            (45, "medium"),
            &[DENIED, ("actor.root", 20), NO_REQUEST],
            &["T1078.004"],
        ),
        (
            0,
            plain,
            denied(&role("ci", "x"), "Pacu"),
            (55, "medium"),
            &[DENIED, ("client.attack_tool", 30), NO_REQUEST],
            &["T1078.004"],
        ),
        (
            0,
            plain,
            json!({"userAgent": "Pacu", "errorCode": "NoSuchEntity"}),
            (40, "medium"),
            &[FAILED, ("client.attack_tool", 30)],
            &["T1078.004"],
        ),
        (
            0,
            threats,
            denied(&role("ci", "x"), CLI),
            (25, "low"),
            &[DENIED, NO_REQUEST],
            &[],
        ),
    ]
}
