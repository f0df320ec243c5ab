//! Which calls the invented company makes, how often, and what is in them. The mix follows what a real account's
//! management trail looks like: mostly reads by workloads and services, few writes, few errors.

use super::company::CallerKind;

/// Who makes a call: a list to draw from, so that repetition is weight.
pub(super) type Callers = &'static [CallerKind];

const WORKLOADS: Callers = &[
    CallerKind::Instance,
    CallerKind::Function,
    CallerKind::Key,
    CallerKind::Key,
    CallerKind::Key,
    CallerKind::Key,
    CallerKind::Key,
];
const PEOPLE: Callers = &[
    CallerKind::Console,
    CallerKind::Person,
    CallerKind::Person,
    CallerKind::Key,
];
const CHANGES: Callers = &[
    CallerKind::Build,
    CallerKind::Build,
    CallerKind::Person,
    CallerKind::Stack,
    CallerKind::Key,
];
const INVENTORY: Callers = &[
    CallerKind::Linked,
    CallerKind::Linked,
    CallerKind::Build,
    CallerKind::Person,
    CallerKind::Key,
    CallerKind::Key,
    CallerKind::Key,
    CallerKind::Console,
];
const SERVICES: Callers = &[CallerKind::Service];

/// What an event is, beyond its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventClass {
    Management,
    Data,
    SignIn,
}

/// One kind of call. Its texts hold blanks (see `template`).
#[derive(Debug)]
pub(super) struct Call {
    /// How many of all calls together are this one.
    pub(super) weight: usize,
    pub(super) service: &'static str,
    pub(super) action: &'static str,
    pub(super) reads: bool,
    pub(super) class: EventClass,
    pub(super) callers: Callers,
    pub(super) request: &'static str,
    pub(super) response: &'static str,
    /// `resources`, empty where the service writes none.
    pub(super) resources: &'static str,
    /// How it usually fails when it is allowed to: code and message.
    pub(super) failure: (&'static str, &'static str),
}

const fn call(
    weight: usize,
    service: &'static str,
    action: &'static str,
    callers: Callers,
) -> Call {
    Call {
        weight,
        service,
        action,
        reads: false,
        class: EventClass::Management,
        callers,
        request: "null",
        response: "null",
        resources: "",
        failure: ("ThrottlingException", "Rate exceeded"),
    }
}

impl Call {
    const fn read(self) -> Self {
        Self {
            reads: true,
            ..self
        }
    }
    const fn data(self) -> Self {
        Self {
            class: EventClass::Data,
            ..self
        }
    }
    const fn request(self, request: &'static str) -> Self {
        Self { request, ..self }
    }
    const fn response(self, response: &'static str) -> Self {
        Self { response, ..self }
    }
    const fn resources(self, resources: &'static str) -> Self {
        Self { resources, ..self }
    }
    const fn fails(self, code: &'static str, message: &'static str) -> Self {
        Self {
            failure: (code, message),
            ..self
        }
    }
}

/// The event that `trailtag` looks for.
pub(super) static REMOVAL: Call = call(0, "iam", "RemoveRoleFromInstanceProfile", PEOPLE)
    .request(r#"{"roleName":"%R","instanceProfileName":"%P"}"#);

/// What follows it: the profile is deleted, or a role comes in.
pub(super) static DELETION: Call =
    call(0, "iam", "DeleteInstanceProfile", PEOPLE).request(r#"{"instanceProfileName":"%P"}"#);
pub(super) static ADDITION_BACK: Call = call(0, "iam", "AddRoleToInstanceProfile", PEOPLE)
    .request(r#"{"roleName":"%R","instanceProfileName":"%P"}"#);
pub(super) static ADDITION_OF_OTHER: Call = call(0, "iam", "AddRoleToInstanceProfile", PEOPLE)
    .request(r#"{"roleName":"%n-runner","instanceProfileName":"%P"}"#);
pub(super) static ADDITION_OF_ADMIN: Call = call(0, "iam", "AddRoleToInstanceProfile", PEOPLE)
    .request(r#"{"roleName":"%n-org-admin","instanceProfileName":"%P"}"#);

/// Names the event in a policy and is another: what a search for the name alone would get wrong.
pub(super) static LOOK_ALIKE: Call = call(0, "iam", "CreatePolicy", CHANGES)
    .request(
        r#"{"policyName":"%n-deployer","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"iam:AddRoleToInstanceProfile\",\"iam:RemoveRoleFromInstanceProfile\",\"iam:PassRole\"],\"Resource\":\"arn:%p:iam::%a:role/%n-*\"}]}"}"#,
    )
    .response(
        r#"{"policy":{"policyName":"%n-deployer","policyId":"ANPA%qXY","arn":"arn:%p:iam::%a:policy/%n-deployer","path":"/","defaultVersionId":"v1","attachmentCount":0,"isAttachable":true}}"#,
    );

const KMS_KEY: &str =
    r#"[{"accountId":"%a","type":"AWS::KMS::Key","ARN":"arn:%p:kms:%r:%a:key/%u"}]"#;
const BUCKET: &str = r#"[{"accountId":"%a","type":"AWS::S3::Bucket","ARN":"arn:%p:s3:::%b"}]"#;
const OBJECT: &str = r#"[{"type":"AWS::S3::Object","ARN":"arn:%p:s3:::%b/%k"},{"accountId":"%a","type":"AWS::S3::Bucket","ARN":"arn:%p:s3:::%b"}]"#;
const CREDENTIALS: &str = r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE%h","expiration":"Jan 5, 2026, 11:59:59 PM","sessionToken":"%Z"},"assumedRoleUser":{"assumedRoleId":"AROA%qEXAMPLE:%n","arn":"arn:%p:sts::%a:assumed-role/%n/%n"}}"#;

/// The ordinary calls.
pub(super) static CALLS: [Call; 62] = [
    call(60, "sts", "AssumeRole", SERVICES)
        .read()
        .request(r#"{"roleArn":"arn:%p:iam::%a:role/%n","roleSessionName":"%n-i-%i"}"#)
        .response(CREDENTIALS)
        .resources(r#"[{"accountId":"%a","type":"AWS::IAM::Role","ARN":"arn:%p:iam::%a:role/%n"}]"#),
    call(20, "sts", "AssumeRole", WORKLOADS)
        .read()
        .request(r#"{"roleArn":"arn:%p:iam::%a:role/%n","roleSessionName":"%n","durationSeconds":3600}"#)
        .response(CREDENTIALS)
        .resources(r#"[{"accountId":"%a","type":"AWS::IAM::Role","ARN":"arn:%p:iam::%a:role/%n"}]"#),
    call(18, "sts", "GetCallerIdentity", CHANGES).read(),
    call(95, "kms", "Decrypt", WORKLOADS)
        .read()
        .request(r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:%p:s3:::%b"}}"#)
        .resources(KMS_KEY),
    call(35, "kms", "Decrypt", INVENTORY)
        .read()
        .request(r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"SecretARN":"arn:%p:secretsmanager:%r:%a:secret:%n-%h","SecretVersionId":"%u"}}"#)
        .resources(KMS_KEY),
    call(45, "kms", "GenerateDataKey", WORKLOADS)
        .read()
        .request(r#"{"keyId":"arn:%p:kms:%r:%a:key/%u","encryptionContext":{"aws:s3:arn":"arn:%p:s3:::%b/%k"},"keySpec":"AES_256"}"#)
        .resources(KMS_KEY),
    call(8, "kms", "DescribeKey", INVENTORY)
        .read()
        .request(r#"{"keyId":"%u"}"#)
        .resources(KMS_KEY)
        .fails("NotFoundException", "Key 'arn:aws:kms:us-east-1:111122223333:key/none' does not exist"),
    call(50, "s3", "GetObject", WORKLOADS)
        .read()
        .data()
        .request(r#"{"bucketName":"%b","Host":"%b.s3.%r.amazonaws.com","key":"%k"}"#)
        .resources(OBJECT)
        .fails("NoSuchKey", "The specified key does not exist."),
    call(16, "s3", "PutObject", WORKLOADS)
        .data()
        .request(r#"{"bucketName":"%b","Host":"%b.s3.%r.amazonaws.com","key":"%k"}"#)
        .response(r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:%p:kms:%r:%a:key/%u"}"#)
        .resources(OBJECT)
        .fails("SlowDown", "Please reduce your request rate."),
    call(20, "s3", "ListObjects", WORKLOADS)
        .read()
        .data()
        .request(r#"{"list-type":"2","bucketName":"%b","Host":"%b.s3.%r.amazonaws.com","prefix":"%n/","encoding-type":"url"}"#)
        .resources(BUCKET),
    call(14, "s3", "GetBucketAcl", INVENTORY)
        .read()
        .request(r#"{"bucketName":"%b","Host":"%b.s3.%r.amazonaws.com","acl":""}"#)
        .resources(BUCKET),
    call(16, "s3", "GetBucketPolicy", INVENTORY)
        .read()
        .request(r#"{"bucketName":"%b","Host":"%b.s3.%r.amazonaws.com","policy":""}"#)
        .resources(BUCKET)
        .fails("NoSuchBucketPolicy", "The bucket policy does not exist"),
    call(10, "s3", "GetBucketPublicAccessBlock", INVENTORY)
        .read()
        .request(r#"{"publicAccessBlock":"","bucketName":"%b","Host":"%b.s3.%r.amazonaws.com"}"#)
        .resources(BUCKET)
        .fails("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    call(6, "s3", "ListBuckets", PEOPLE)
        .read()
        .request(r#"{"Host":"s3.%r.amazonaws.com"}"#),
    call(60, "ec2", "DescribeInstances", INVENTORY)
        .read()
        .request(r#"{"instancesSet":{"items":[{"instanceId":"i-%i"},{"instanceId":"i-%j"}]},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}}]}}"#)
        .fails("Client.InvalidInstanceID.NotFound", "The instance ID 'i-%i' does not exist"),
    call(22, "ec2", "DescribeInstanceStatus", INVENTORY)
        .read()
        .request(r#"{"instancesSet":{"items":[{"instanceId":"i-%i"}]},"filterSet":{},"includeAllInstances":true,"maxResults":1000}"#),
    call(18, "ec2", "DescribeSecurityGroups", INVENTORY)
        .read()
        .request(r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"sg-%i"}]},"filterSet":{}}"#),
    call(16, "ec2", "DescribeNetworkInterfaces", INVENTORY)
        .read()
        .request(r#"{"networkInterfaceIdSet":{"items":[{"networkInterfaceId":"eni-%i"}]},"filterSet":{}}"#),
    call(12, "ec2", "DescribeVolumes", INVENTORY)
        .read()
        .request(r#"{"volumeSet":{"items":[{"volumeId":"vol-%i"}]},"filterSet":{}}"#),
    call(12, "ec2", "DescribeRouteTables", INVENTORY)
        .read()
        .request(r#"{"routeTableIdSet":{"items":[{"routeTableId":"rtb-%i"}]},"filterSet":{}}"#)
        .fails("Client.InvalidRouteTableID.NotFound", "The routeTable ID 'rtb-%i' does not exist"),
    call(10, "ec2", "DescribeTags", INVENTORY)
        .read()
        .request(r#"{"filterSet":{"items":[{"name":"resource-id","valueSet":{"items":[{"value":"i-%i"}]}}]},"tagSet":{}}"#),
    call(8, "ec2", "DescribeIamInstanceProfileAssociations", INVENTORY)
        .read()
        .request(r#"{"DescribeIamInstanceProfileAssociationsRequest":{"Filter":{"tag":1,"Name":"instance-id","Value":{"tag":1,"content":"i-%i"}}}}"#),
    call(3, "ec2", "RunInstances", CHANGES)
        .request(r#"{"instancesSet":{"items":[{"imageId":"ami-%j","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","blockDeviceMapping":{},"monitoring":{"enabled":false},"subnetId":"subnet-%i","disableApiTermination":false,"clientToken":"%u","iamInstanceProfile":{"name":"%P"},"ebsOptimized":true,"metadataOptions":{"httpTokens":"required"}}"#)
        .response(r#"{"requestId":"%u","reservationId":"r-%i","ownerId":"%a","groupSet":{},"instancesSet":{"items":[{"instanceId":"i-%i","imageId":"ami-%j","instanceState":{"code":0,"name":"pending"},"instanceType":"m7g.large","iamInstanceProfile":{"arn":"arn:%p:iam::%a:instance-profile/%P","id":"AIPA%qXY"}}]}}"#)
        .fails("Client.VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 64 allows for the instance bucket that the specified instance type belongs to."),
    call(3, "ec2", "TerminateInstances", CHANGES)
        .request(r#"{"instancesSet":{"items":[{"instanceId":"i-%i"}]}}"#)
        .response(r#"{"requestId":"%u","instancesSet":{"items":[{"instanceId":"i-%i","currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#),
    call(3, "ec2", "AuthorizeSecurityGroupIngress", CHANGES)
        .request(r#"{"groupId":"sg-%i","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"#)
        .response(r#"{"requestId":"%u","_return":true}"#)
        .fails("Client.InvalidPermission.Duplicate", "the specified rule \\\"peer: 10.0.0.0/8, TCP, from port: 443, to port: 443, ALLOW\\\" already exists"),
    call(3, "ec2", "CreateTags", CHANGES)
        .request(r#"{"resourcesSet":{"items":[{"resourceId":"i-%i"}]},"tagSet":{"items":[{"key":"team","value":"%n"},{"key":"managed-by","value":"terraform"}]}}"#)
        .response(r#"{"requestId":"%u","_return":true}"#),
    call(1, "ec2", "ReplaceIamInstanceProfileAssociation", CHANGES)
        .request(r#"{"ReplaceIamInstanceProfileAssociationRequest":{"AssociationId":"iip-assoc-%i","IamInstanceProfile":{"Name":"%P"}}}"#)
        .response(r#"{"ReplaceIamInstanceProfileAssociationResponse":{"requestId":"%u","iamInstanceProfileAssociation":{"associationId":"iip-assoc-%j","instanceId":"i-%i","state":"associating"}}}"#),
    call(22, "iam", "GetRole", CHANGES)
        .read()
        .request(r#"{"roleName":"%R"}"#)
        .fails("NoSuchEntityException", "The role with name %R cannot be found."),
    call(16, "iam", "ListAttachedRolePolicies", INVENTORY)
        .read()
        .request(r#"{"roleName":"%R","maxItems":100}"#),
    call(14, "iam", "ListRolePolicies", INVENTORY)
        .read()
        .request(r#"{"roleName":"%R"}"#),
    call(12, "iam", "GetInstanceProfile", CHANGES)
        .read()
        .request(r#"{"instanceProfileName":"%P"}"#)
        .fails("NoSuchEntityException", "Instance Profile %P cannot be found."),
    call(8, "iam", "ListInstanceProfilesForRole", INVENTORY)
        .read()
        .request(r#"{"roleName":"%R"}"#),
    call(8, "iam", "GetPolicyVersion", CHANGES)
        .read()
        .request(r#"{"policyArn":"arn:%p:iam::%a:policy/%n","versionId":"v%v"}"#),
    call(6, "iam", "GetUser", PEOPLE).read().request(r#"{"userName":"%n"}"#),
    call(6, "iam", "ListUsers", PEOPLE).read().request(r#"{"maxItems":1000}"#),
    call(2, "iam", "AddRoleToInstanceProfile", CHANGES)
        .request(r#"{"instanceProfileName":"%P","roleName":"%R"}"#)
        .fails("LimitExceededException", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"),
    call(1, "iam", "CreateInstanceProfile", CHANGES)
        .request(r#"{"instanceProfileName":"%P","path":"/","tags":[{"key":"team","value":"%n"}]}"#)
        .response(r#"{"instanceProfile":{"path":"/","instanceProfileName":"%P","instanceProfileId":"AIPA%qXY","arn":"arn:%p:iam::%a:instance-profile/%P","createDate":"Jan 5, 2026, 10:00:00 AM","roles":[]}}"#)
        .fails("EntityAlreadyExistsException", "Instance Profile %P already exists."),
    call(1, "iam", "DeleteInstanceProfile", CHANGES)
        .request(r#"{"instanceProfileName":"%P"}"#)
        .fails("DeleteConflictException", "Cannot delete entity, must remove roles from instance profile first."),
    call(2, "iam", "PutRolePolicy", CHANGES)
        .request(r#"{"roleName":"%R","policyName":"inline","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:PutObject\"],\"Resource\":\"arn:%p:s3:::%b/*\"}]}"}"#),
    call(2, "iam", "AttachRolePolicy", CHANGES)
        .request(r#"{"roleName":"%R","policyArn":"arn:%p:iam::aws:policy/AmazonSSMManagedInstanceCore"}"#),
    call(90, "logs", "CreateLogStream", WORKLOADS)
        .request(r#"{"logGroupName":"/aws/lambda/%n","logStreamName":"2026/01/05/[$LATEST]%h%H"}"#)
        .fails("ResourceAlreadyExistsException", "The specified log stream already exists"),
    call(20, "logs", "DescribeLogGroups", INVENTORY)
        .read()
        .request(r#"{"logGroupNamePrefix":"/aws/lambda/%n","limit":50}"#),
    call(8, "logs", "FilterLogEvents", PEOPLE)
        .read()
        .request(r#"{"logGroupName":"/aws/ecs/%n","startTime":1767571200000,"filterPattern":"HIDDEN_DUE_TO_SECURITY_REASONS","limit":100}"#),
    call(24, "lambda", "GetFunction20150331v2", CHANGES)
        .read()
        .request(r#"{"functionName":"%n"}"#)
        .fails("ResourceNotFoundException", "Function not found: arn:%p:lambda:%r:%a:function:%n"),
    call(40, "lambda", "Invoke", WORKLOADS)
        .data()
        .request(r#"{"functionName":"arn:%p:lambda:%r:%a:function:%n","invocationType":"Event"}"#)
        .resources(r#"[{"accountId":"%a","type":"AWS::Lambda::Function","ARN":"arn:%p:lambda:%r:%a:function:%n"}]"#),
    call(3, "lambda", "UpdateFunctionCode20150331v2", CHANGES)
        .request(r#"{"functionName":"%n","s3Bucket":"%b","s3Key":"releases/%u.zip","publish":true,"dryRun":false}"#)
        .response(r#"{"functionName":"%n","functionArn":"arn:%p:lambda:%r:%a:function:%n","runtime":"python3.12","role":"arn:%p:iam::%a:role/%R","handler":"app.handler","codeSize":%D,"timeout":30,"memorySize":512,"state":"Active","lastUpdateStatus":"InProgress"}"#),
    call(36, "dynamodb", "DescribeTable", INVENTORY)
        .read()
        .request(r#"{"tableName":"%n"}"#)
        .resources(r#"[{"accountId":"%a","type":"AWS::DynamoDB::Table","ARN":"arn:%p:dynamodb:%r:%a:table/%n"}]"#)
        .fails("ResourceNotFoundException", "Requested resource not found: Table: %n not found"),
    call(36, "dynamodb", "PutItem", WORKLOADS)
        .data()
        .request(r#"{"tableName":"%n","key":{"id":"%u"},"items":["id","status","updated_at"]}"#)
        .resources(r#"[{"accountId":"%a","type":"AWS::DynamoDB::Table","ARN":"arn:%p:dynamodb:%r:%a:table/%n"}]"#)
        .fails("ConditionalCheckFailedException", "The conditional request failed"),
    call(40, "ssm", "GetParameter", WORKLOADS)
        .read()
        .request(r#"{"name":"/%n/database/password","withDecryption":true}"#)
        .resources(r#"[{"accountId":"%a","ARN":"arn:%p:ssm:%r:%a:parameter/%n/database/password"}]"#)
        .fails("ParameterNotFound", "Parameter /%n/database/password not found."),
    call(40, "ssm", "UpdateInstanceInformation", &[CallerKind::Instance])
        .request(r#"{"instanceId":"i-%i","agentVersion":"3.3.987.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"10.0.%v.%d","computerName":"ip-10-0-%v-%d.ec2.internal","agentName":"amazon-ssm-agent","availabilityZone":"%ra"}"#),
    call(4, "ssm", "SendCommand", PEOPLE)
        .request(r#"{"instanceIds":["i-%i"],"documentName":"AWS-RunShellScript","parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","interactive":false}"#)
        .fails("InvalidInstanceId", "Instances [[i-%i]] not in a valid state for account %a"),
    call(26, "secretsmanager", "GetSecretValue", WORKLOADS)
        .read()
        .request(r#"{"secretId":"arn:%p:secretsmanager:%r:%a:secret:%n-%h","versionStage":"AWSCURRENT"}"#)
        .fails("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    call(20, "ecr", "BatchGetImage", WORKLOADS)
        .read()
        .request(r#"{"registryId":"%a","repositoryName":"%n","imageIds":[{"imageTag":"v1.%d.%v"}],"acceptedMediaTypes":["application/vnd.oci.image.manifest.v1+json"]}"#)
        .resources(r#"[{"accountId":"%a","ARN":"arn:%p:ecr:%r:%a:repository/%n"}]"#),
    call(14, "ecr", "GetAuthorizationToken", WORKLOADS).read(),
    call(20, "ecs", "DescribeServices", CHANGES)
        .read()
        .request(r#"{"cluster":"%n","services":["arn:%p:ecs:%r:%a:service/%n/%R"],"include":["TAGS"]}"#),
    call(16, "autoscaling", "DescribeAutoScalingGroups", INVENTORY)
        .read()
        .request(r#"{"autoScalingGroupNames":["%n-asg"],"maxRecords":100}"#),
    call(14, "rds", "DescribeDBInstances", INVENTORY)
        .read()
        .request(r#"{"dBInstanceIdentifier":"%n-db"}"#)
        .fails("DBInstanceNotFound", "DBInstance %n-db not found."),
    call(14, "elasticloadbalancing", "DescribeTargetHealth", INVENTORY)
        .read()
        .request(r#"{"targetGroupArn":"arn:%p:elasticloadbalancing:%r:%a:targetgroup/%n/%h%H"}"#),
    call(12, "cloudformation", "DescribeStacks", CHANGES)
        .read()
        .request(r#"{"stackName":"%n"}"#)
        .fails("ValidationException", "Stack with id %n does not exist"),
    call(10, "monitoring", "DescribeAlarms", INVENTORY)
        .read()
        .request(r#"{"alarmNames":["%n-5xx","%n-latency-p99"],"maxRecords":100}"#),
    call(6, "cloudtrail", "LookupEvents", PEOPLE)
        .read()
        .request(r#"{"lookupAttributes":[{"attributeKey":"ResourceName","attributeValue":"%P"}],"maxResults":50}"#),
    Call {
        class: EventClass::SignIn,
        ..call(2, "signin", "ConsoleLogin", &[CallerKind::Console, CallerKind::Root])
            .response(r#"{"ConsoleLogin":"Success"}"#)
    },
];

/// One way in which the event happens.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) caller: CallerKind,
    /// The program, where the kind of caller alone does not say it.
    pub(super) agent: Option<&'static str>,
    /// Code and message where it failed.
    pub(super) failure: Option<(&'static str, &'static str)>,
}

const fn removal(caller: CallerKind) -> Removal {
    Removal {
        caller,
        agent: None,
        failure: None,
    }
}

const fn removal_by(caller: CallerKind, agent: &'static str) -> Removal {
    Removal {
        agent: Some(agent),
        ..removal(caller)
    }
}

const fn failed(caller: CallerKind, code: &'static str, message: &'static str) -> Removal {
    Removal {
        failure: Some((code, message)),
        ..removal(caller)
    }
}

/// The ways in which the event happens, all as likely.
pub(super) static REMOVALS: [Removal; 16] = [
    removal_by(CallerKind::Build, TERRAFORM),
    removal_by(CallerKind::Key, TERRAFORM),
    removal(CallerKind::Console),
    removal_by(CallerKind::Person, BROWSER),
    removal_by(CallerKind::Key, CLI),
    removal_by(CallerKind::Key, KALI),
    removal_by(CallerKind::Key, BOTO3),
    removal(CallerKind::Root),
    removal_by(CallerKind::Instance, CLI),
    removal_by(CallerKind::Instance, BOTO3),
    removal_by(CallerKind::Person, CLI),
    removal(CallerKind::Stack),
    failed(CallerKind::Key, "AccessDenied", DENIED),
    failed(
        CallerKind::Function,
        "AccessDenied",
        "User: %x is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile %P with an explicit deny in a service control policy",
    ),
    failed(
        CallerKind::Build,
        "NoSuchEntityException",
        "Instance Profile %P cannot be found.",
    ),
    failed(
        CallerKind::Person,
        "UnmodifiableEntityException",
        "Cannot perform the operation on the protected role '%R' - this role is only modifiable by AWS",
    ),
];

const DENIED: &str = "User: %x is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile %P because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action";

const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-aws/5.72.1 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.2 ua/2.1 os/linux lang/go#1.23.2 md/GOOS#linux md/GOARCH#amd64 api/%s#1.37.2 m/E";
const CLI: &str = "aws-cli/2.18.5 md/awscrt#0.22.0 ua/2.0 os/linux#6.8.0-1016-aws md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/distrib#ubuntu.24.04 sid/%h%H md/prompt#off md/command#%s.%c";
const KALI: &str = "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/linux#6.11.2-amd64 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/distrib#kali.2024.3 sid/%h%H md/prompt#off md/command#%s.%c";
const BOTO3: &str = "Boto3/1.35.36 md/Botocore#1.35.36 ua/2.0 os/linux#6.1.112-122.189.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython exec-env/AWS_ECS_FARGATE cfg/retry-mode#adaptive,max-attempts#5 Botocore/1.35.36";
const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const LAMBDA: &str = "Boto3/1.35.36 md/Botocore#1.35.36 ua/2.0 os/linux#5.10.226-235.879.amzn2.x86_64 md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.35.36";
const JAVA: &str = "aws-sdk-java/2.28.16 Linux/6.1.112-122.189.amzn2023.x86_64 OpenJDK_64-Bit_Server_VM/21.0.4+7-LTS Java/21.0.4 vendor/Amazon.com_Inc. exec-env/AWS_ECS_FARGATE io/sync http/Apache cfg/retry-mode/standard PAGINATED/2.28.16";
const GO: &str = "aws-sdk-go-v2/1.32.2 ua/2.1 os/linux lang/go#1.23.2 md/GOOS#linux md/GOARCH#arm64 exec-env/AWS_EKS api/%s#1.66.0 m/E,g";
const NODE: &str = "aws-sdk-js/3.670.0 ua/2.1 os/linux#5.10.224-212.876.amzn2.x86_64 lang/js md/nodejs#20.18.0 api/%s#3.670.0 exec-env/AWS_Lambda_nodejs20.x m/E";

/// The programs of a kind of caller; none for those that are AWS services, which name themselves.
pub(super) const fn agents(kind: CallerKind) -> &'static [&'static str] {
    match kind {
        CallerKind::Key => &[CLI, BOTO3, TERRAFORM, JAVA],
        CallerKind::Console | CallerKind::Root => &[BROWSER],
        CallerKind::Build => &[TERRAFORM, TERRAFORM, CLI, GO],
        CallerKind::Instance => &[JAVA, GO, BOTO3],
        CallerKind::Function => &[LAMBDA, LAMBDA, NODE],
        CallerKind::Person => &[BROWSER, BROWSER, CLI, TERRAFORM],
        CallerKind::Linked | CallerKind::Service | CallerKind::Stack => &[],
    }
}
