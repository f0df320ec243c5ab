"""Runs the catalogue's steps in an account that answers, and says what did not come of them.

usage: account.py FOLDER [SCENARIO]...     FOLDER is what tests/components/moto.sh installed

Standard input: {"documents": {name of an event: [item]}}, the items as documents carry them. Prints {scenario: [fault]}.

The account is moto's, on a loopback port. bash runs the CLI steps, line by line as somebody pastes them, with the real AWS
CLI, and Python the boto3 steps, statement by statement as its prompt does. Each scenario stages what the event is about,
runs the steps of its document, and looks at what the account is like then. What moto lacks is in LACKING.
"""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from signal import SIGKILL
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

sys.path.insert(0, sys.argv[1])
os.environ.update({
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7TESTING", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "MOTO_ACCOUNT_ID": "111122223333",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
})

import boto3  # noqa: E402
from awscli import clidriver  # noqa: E402

ACCOUNT, REGIONS = "111122223333", ("us-east-1", "eu-west-1")
KEY = "AKIAIOSFODNN7EXAMPLE"
PARTS = ("cli", "boto3")
EC2_TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
IAM_XML = '<{0}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{0}Result>{1}</{0}Result></{0}Response>'
EC2_XML = '<{0}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">{1}</{0}Response>'

# What moto does not answer, by operation: who needs it, why it is missing, and what is answered here instead, so that what
# comes after in the step runs too. The AWS CLI and boto3 still hold each request against AWS's description of it.
LACKING = {
    "SimulatePrincipalPolicy": (
        ("prevent.least_privilege", "prevent.pass_role"), "moto does not evaluate policies for others",
        IAM_XML.format("SimulatePrincipalPolicy", "<EvaluationResults/><IsTruncated>false</IsTruncated>")),
    "GenerateServiceLastAccessedDetails": (
        ("prevent.least_privilege",), "moto does not record who used which permission",
        IAM_XML.format("GenerateServiceLastAccessedDetails", "<JobId>0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f</JobId>")),
    "CreateSnapshots": (
        ("contain.isolate_instances",), "moto takes snapshots of single volumes only",
        EC2_XML.format("CreateSnapshots", "<snapshotSet/>")),
    "ListPublicKeys": (
        ("hardening.cloudtrail",), "moto signs no log files, so that there is nothing to validate", '{"PublicKeyList": []}'),
    "ModifyInstanceMetadataDefaults": (
        ("prevent.imdsv2",), "moto has no defaults of a region", EC2_XML.format("ModifyInstanceMetadataDefaults", "<return>true</return>")),
}
# Not moto's: LookupEvents, which the stand-in below answers from the records that a scenario stages; DescribeRegions, of which
# two are enough; the filter iam-instance-profile.arn; the instance metadata service, for which a stub of curl stands in
# (restore.verify).
TIMES = "%Y-%m-%dT%H:%M:%SZ"


def lookup_events(request, records, region):
    """As CloudTrail answers: one attribute, a region, a span of time."""
    wanted = {one["AttributeKey"]: one["AttributeValue"] for one in request.get("LookupAttributes", [])}
    # Of the resources that it lists with an event, the key that an AssumeRole made is all that steps ask for.
    fields = {
        "EventName": ("eventName",), "AccessKeyId": ("userIdentity", "accessKeyId"), "Username": ("userIdentity", "userName"),
        "ResourceName": ("responseElements", "credentials", "accessKeyId"),
    }
    events = []
    for record in records:
        at = datetime.strptime(record["eventTime"], TIMES).replace(tzinfo=timezone.utc).timestamp()
        if record["awsRegion"] != region or not request.get("StartTime", 0) <= at <= request.get("EndTime", at):
            continue
        for key, value in wanted.items():
            found = record
            for field in fields[key]:
                found = found.get(field, {})
            if found != value:
                break
        else:
            events.append({
                "EventId": "x", "EventName": record["eventName"], "EventTime": at, "EventSource": "x",
                "CloudTrailEvent": json.dumps(record, separators=(",", ":")),
            })
    return {"Events": events}


def refused(form):
    """What IAM refuses and moto does not: a name or an id with characters that none has, as a placeholder's."""
    names = ("UserName", "RoleName", "VirtualMFADeviceName", "AccessKeyId", "AuthenticationCode1", "AuthenticationCode2")
    return any("<" in value for name in names for value in form.get(name, []))


def stand_in():
    """The account, as a WSGI application: moto, with what it lacks."""
    from moto.ec2 import utils
    from moto.ec2.models.instances import Instance
    from moto.server import DomainDispatcherApplication, create_backend_app

    def profile_arn(one):
        held = one.ec2_backend.iam_instance_profile_associations.get(one.id)
        return held.iam_instance_profile.arn if held else ""

    # moto lacks this filter of DescribeInstances (investigate.instances).
    Instance.profile_arn = property(profile_arn)
    utils.filter_dict_attribute_mapping["iam-instance-profile.arn"] = "profile_arn"

    moto = DomainDispatcherApplication(create_backend_app)
    records = []

    def answer(start, text, kind="text/xml", status="200 OK"):
        start(status, [("Content-Type", kind), ("Content-Length", str(len(text.encode())))])
        return [text.encode()]

    def app(environ, start):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = BytesIO(body)
        is_form = "urlencoded" in environ.get("CONTENT_TYPE", "")
        form = parse_qs(body.decode()) if is_form else {}
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2] or form.get("Action", [""])[0]
        if environ["PATH_INFO"] == "/records":
            records[:] = json.loads(body)
            return answer(start, "")
        if action == "LookupEvents":
            region = environ["HTTP_AUTHORIZATION"].split("/")[2]
            return answer(start, json.dumps(lookup_events(json.loads(body), records, region)), "application/x-amz-json-1.1")
        if action == "DescribeRegions":
            names = "".join(f"<item><regionName>{name}</regionName></item>" for name in REGIONS)
            return answer(start, EC2_XML.format(action, f"<regionInfo>{names}</regionInfo>"))
        if action in LACKING:
            text = LACKING[action][2]
            return answer(start, text, "text/xml" if text[0] == "<" else "application/x-amz-json-1.1")
        if refused(form):
            error = "<Error><Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected</Message></Error>"
            return answer(start, f"<ErrorResponse>{error}</ErrorResponse>", status="400 Bad Request")
        return moto(environ, start)

    return app


def serve(server, orders, done):
    """For each order an account in which nothing happened yet: a copy of this process, in which everything is ready."""
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.test import Client

    class Quiet(WSGIRequestHandler):
        def log(self, *_):
            pass

    app = stand_in()
    for service, region, version, action in (
        ("iam", REGIONS[0], "2010-05-08", "ListUsers"), ("autoscaling", REGIONS[0], "2011-01-01", "DescribeAutoScalingGroups"),
        *(("ec2", region, "2016-11-15", "DescribeVpcs") for region in REGIONS),
    ):
        signed = f"AWS4-HMAC-SHA256 Credential=x/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=x"
        Client(app).post("/", data={"Action": action, "Version": version}, headers={"Authorization": signed})
    child = None
    while os.read(orders, 1):
        if child:
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet, fd=server.fileno()).serve_forever()
        os.write(done, b"x")
    if child:
        os.kill(child, SIGKILL)
    os._exit(0)


def serve_cli(path, warm):
    """The AWS CLI, started once: each call is a copy of this process with the caller's streams."""
    driver = clidriver.create_clidriver()
    loader = driver.session.get_component("data_loader")
    for service in warm:
        loader.load_service_model(service, "service-2")
    # The first call of a process is slow: it is made here, for all.
    real = sys.stdout
    with open(os.devnull, "w") as sys.stdout:
        driver.main(["iam", "list-users", "--region", REGIONS[0]])
    sys.stdout = real
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(16)
    while True:
        caller, _ = server.accept()
        text, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
        if os.fork():
            caller.close()
            for stream in streams:
                os.close(stream)
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
            continue
        code = 255
        try:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            call = json.loads(text)
            os.chdir(call["folder"])
            sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))
            code = driver.main(call["arguments"])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            caller.send(str(code).encode())
            os._exit(0)


STUBS = {
    "aws": """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
socket.send_fds(server, [json.dumps({{"folder": os.getcwd(), "arguments": sys.argv[1:]}}).encode()], [0, 1, 2])
sys.exit(int(server.recv(16)))
""",
    # The instance metadata service answers on instances only.
    "curl": "#!/bin/sh\necho stub-token\n",
}


class Account:
    def __init__(self, documents):
        self.documents = documents
        self.faults = []
        self.ran = set()
        self.folder = Path(tempfile.mkdtemp(prefix="trailtag-steps-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        server = socket.create_server(("127.0.0.1", 0))
        os.environ["AWS_ENDPOINT_URL"] = self.endpoint = "http://127.0.0.1:%d" % server.getsockname()[1]
        (orders, self.orders), (self.done, done) = os.pipe(), os.pipe()
        self.server = os.fork()
        if not self.server:
            os.close(self.orders)
            serve(server, orders, done)
        os.close(done)
        self.reset()
        path = str(self.folder / "cli")
        self.cli = os.fork()
        if not self.cli:
            # Otherwise the account would wait for orders from here too.
            os.close(self.orders)
            serve_cli(path, ("iam", "ec2", "cloudtrail", "organizations", "autoscaling"))
        bin = self.folder / "bin"
        bin.mkdir()
        for name, text in STUBS.items():
            stub = bin / name
            stub.write_text(text.format(python=sys.executable, path=path) if name == "aws" else text)
            stub.chmod(0o755)
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            assert time.monotonic() < deadline, "the AWS CLI does not start"
            time.sleep(0.02)
        self.environment = {**os.environ, "PATH": f"{bin}:/usr/bin:/bin", "HOME": str(self.home)}

    def close(self):
        os.close(self.orders)
        os.waitpid(self.server, 0)
        os.kill(self.cli, SIGKILL)
        os.waitpid(self.cli, 0)
        shutil.rmtree(self.folder)

    def client(self, service, region="us-east-1"):
        return boto3.client(service, region_name=region)

    def records(self, records):
        """What CloudTrail has in its event history."""
        with urlopen(Request(self.endpoint + "/records", data=json.dumps(records).encode(), method="POST")) as answer:
            answer.read()

    def reset(self):
        os.write(self.orders, b"x")
        assert os.read(self.done, 1), "the account does not start"
        for left in self.home.iterdir():
            left.unlink()

    def check(self, holds, text):
        if not holds:
            self.faults.append(text)

    def has(self, document, item):
        return any(one["id"] == item for one in self.documents[document])

    def item(self, document, item):
        return next(one for one in self.documents[document] if one["id"] == item)

    def run(self, part, document, item, fill=None, fails=()):
        """Runs the steps of an item, with `fill` put in place of texts such as <INSTANCE_ID>. What a step says on the error
        stream is a fault, unless it holds one of `fails`. Gives what the steps printed."""
        if not self.has(document, item):
            self.faults.append(f"{document}: there is no {item}")
            return ""
        lines = self.item(document, item).get(part, [])
        for placeholder, value in (fill or {}).items():
            lines = [line.replace(placeholder, value) for line in lines]
        self.ran.add((item, part))
        said = self.bash(lines) if part == "cli" else self.python(lines)
        for line, code, _, error in said:
            if (code or error.strip()) and not any(text in error for text in fails):
                self.faults.append(f"{document}: {item}, {part}: {line[:160]}: {code}: {error.strip()[-400:]}")
        return "".join(out for _, _, out, _ in said)

    def bash(self, lines):
        said = Path(tempfile.mkdtemp(dir=self.folder))
        script = "set -o pipefail\n" + "".join(
            f"{{ {line}\n}} >{said}/{number}.out 2>{said}/{number}.err\necho $? >{said}/{number}.code\n" for number, line in enumerate(lines))
        done = subprocess.run(["bash", "-c", script], env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.stderr:
            return [("bash", 1, "", done.stderr)]
        read = lambda number, end: (said / f"{number}.{end}").read_text()
        return [(line, int(read(number, "code")), read(number, "out"), read(number, "err")) for number, line in enumerate(lines)]

    def python(self, lines):
        said = Path(tempfile.mkdtemp(dir=self.folder)) / "said"
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return json.loads(said.read_text())
        results = []
        try:
            os.chdir(self.home)
            names = {"__name__": "__main__"}
            for statement in ast.parse("\n".join(lines)).body:
                out, error = (said.with_suffix(end) for end in (".out", ".err"))
                real = sys.stdout
                with open(out, "w") as sys.stdout:
                    failed = ""
                    try:
                        exec(compile(ast.Interactive([statement]), "step", "single"), names)
                    except BaseException as one:
                        failed = "".join(traceback.format_exception_only(one))
                sys.stdout = real
                results.append((ast.unparse(statement)[:160], 0, out.read_text(), failed))
        except BaseException as one:
            results.append(("python", 1, "", repr(one)))
        said.write_text(json.dumps(results))
        os._exit(0)


SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


# What scenarios stage.

def profile(account, name="web-prod", role="web-prod-role", held=None):
    """A profile with a role in it, or none; `role` exists in any case."""
    iam = account.client("iam")
    iam.create_instance_profile(InstanceProfileName=name)
    for each in dict.fromkeys(each for each in (role, held) if each):
        iam.create_role(RoleName=each, AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    if held:
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=held)
    return iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]


def user(account, name="eve", password=None):
    """A user with a key; gives what stands for the document's key."""
    iam = account.client("iam")
    iam.create_user(UserName=name)
    if password:
        iam.create_login_profile(UserName=name, Password=password)
    return {KEY: iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]}


def keys(account, name="eve"):
    return {key["AccessKeyId"]: key["Status"] for key in account.client("iam").list_access_keys(UserName=name)["AccessKeyMetadata"]}


def roles(account, name="web-prod"):
    held = account.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    return [role["RoleName"] for role in held]


def policies(account, kind, name):
    """The documents of the inline policies of a user or a role."""
    iam = account.client("iam")
    named = {f"{kind.title()}Name": name}
    names = getattr(iam, f"list_{kind}_policies")(**named)["PolicyNames"]
    return {each: getattr(iam, f"get_{kind}_policy")(**named, PolicyName=each)["PolicyDocument"] for each in names}


def denied_by_time(account, kind, name):
    """Whether everything that was signed in before about now is denied."""
    policy = policies(account, kind, name).get("AWSRevokeOlderSessions")
    if not policy:
        return False
    statement = policy["Statement"][0]
    since = datetime.strptime(statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"], TIMES).replace(tzinfo=timezone.utc)
    return statement["Effect"] == "Deny" and statement["Action"] == "*" and abs(datetime.now(timezone.utc) - since) < timedelta(minutes=10)


def image(account, region="us-east-1"):
    return account.client("ec2", region).describe_images()["Images"][0]["ImageId"]


def instance(account, arn, region="us-east-1"):
    started = account.client("ec2", region).run_instances(ImageId=image(account, region), MinCount=1, MaxCount=1, IamInstanceProfile={"Arn": arn})
    return started["Instances"][0]["InstanceId"]


def record(name, request, region="us-east-1", at="2026-01-05T18:50:00Z", **changes):
    return {
        "eventName": name, "eventTime": at, "awsRegion": region, "userAgent": "aws-cli/2.15.0", "requestParameters": request,
        "userIdentity": {"userName": "eve", "accessKeyId": KEY}, **changes,
    }


def own_policies(account):
    """The organization's policies but AWS's own."""
    org = account.client("organizations")
    found = org.list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
    return {policy["Name"]: policy["Id"] for policy in found if not policy["AwsManaged"]}


def organization(account):
    org = account.client("organizations")
    org.create_organization(FeatureSet="ALL")
    root = org.list_roots()["Roots"][0]["Id"]
    org.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    return org


def trial_account(org):
    return org.create_account(AccountName="trial", Email="trial@example.com")["CreateAccountStatus"]["AccountId"]


# Scenarios: each is called for the CLI steps, and for the boto3 steps.

@scenario
def a_key_is_switched_off_and_kept(account, part):
    key = user(account)
    other = user(account, "mallory")
    account.run(part, "user", "contain.access_key", key)
    account.check(keys(account) == {key[KEY]: "Inactive"}, f"the key is to be off, and still there: {keys(account)}")
    account.check(denied_by_time(account, "user", "eve"), "older sessions of the user are not denied")
    account.check(keys(account, "mallory") == {other[KEY]: "Active"}, "another user's key changed")


@scenario
def sessions_of_a_role_end(account, part):
    account.client("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    # A second finding finds the policy there.
    for _ in range(2):
        account.run(part, "session", "contain.role_sessions")
        account.check(denied_by_time(account, "role", "deployer"), "older sessions of the role are not denied")


@scenario
def a_user_is_shut_out(account, part):
    user(account, password="Correct-horse-battery-1")
    account.run(part, "user, console", "contain.user")
    iam = account.client("iam")
    attached = [policy["PolicyName"] for policy in iam.list_attached_user_policies(UserName="eve")["AttachedPolicies"]]
    account.check(attached == ["AWSDenyAll"], f"attached: {attached}")


@scenario
def a_swapped_role_goes_before_the_right_one_comes(account, part):
    profile(account, held="admin")
    documents = ["user, swap", "user", "user, Terraform", "session", "sso", "privileged", "root", "another account's user"]
    if part == "boto3":
        documents = documents[:2]
    for document in documents:
        if roles(account) != ["admin"]:
            iam = account.client("iam")
            iam.remove_role_from_instance_profile(InstanceProfileName="web-prod", RoleName="web-prod-role")
            iam.add_role_to_instance_profile(InstanceProfileName="web-prod", RoleName="admin")
        for item in [item["id"] for item in account.documents[document]]:
            if item in ("contain.swapped_in_role", "contain.swapped_role", "restore.role"):
                account.run(part, document, item, {"<SWAPPED_IN_ROLE>": "admin", "web-prod-role-admin": "web-prod-role"})
        account.check(roles(account) == ["web-prod-role"], f"{document}: the profile holds {roles(account)}")
        account.check(denied_by_time(account, "role", "admin"), f"{document}: sessions of the role that was put in are not denied")


@scenario
def an_instance_is_isolated_and_kept(account, part):
    arn = profile(account, held="web-prod-role")
    account.client("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    ec2, scaling = account.client("ec2"), account.client("autoscaling")
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network]}])["Subnets"][0]
    quiet = ec2.create_security_group(GroupName="quiet", Description="x", VpcId=network)["GroupId"]
    scaling.create_launch_configuration(LaunchConfigurationName="web", ImageId=image(account), InstanceType="t3.micro", IamInstanceProfile=arn)
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="web", LaunchConfigurationName="web", MinSize=1, MaxSize=2, DesiredCapacity=1, VPCZoneIdentifier=subnet["SubnetId"])
    grouped = lambda: [one["InstanceId"] for one in scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]]
    one = grouped()[0]
    second = ec2.create_network_interface(SubnetId=subnet["SubnetId"])["NetworkInterface"]["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=second, InstanceId=one, DeviceIndex=1)
    fill = {"<INSTANCE_REGION>": "us-east-1", "<INSTANCE_ID>": one, "<GROUP>": "web", "<SECURITY_GROUP_ID>": quiet}
    account.run(part, "instance", "contain.isolate_instances", fill)
    account.check(one not in grouped(), "the group still has the instance, and may end it")
    kept = ec2.describe_instance_attribute(InstanceId=one, Attribute="disableApiTermination")["DisableApiTermination"]["Value"]
    account.check(kept, "the instance can be ended")
    interfaces = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [one]}])["NetworkInterfaces"]
    groups = {each["NetworkInterfaceId"]: [group["GroupId"] for group in each["Groups"]] for each in interfaces}
    account.check(len(groups) == 2 and all(each == [quiet] for each in groups.values()), f"groups of the interfaces: {groups}")
    account.run(part, "instance", "contain.instance_role")
    account.check(denied_by_time(account, "role", "deployer"), "older sessions of the instance's role are not denied")


@scenario
def an_identity_center_user_is_shut_out_each_time(account, part):
    org = organization(account)
    account.run(part, "sso", "contain.sso_sessions", fails=("put the id",))
    account.check(not own_policies(account), f"made before the user is named: {own_policies(account)}")
    for finding in ("1", "2"):
        account.run(part, "sso", "contain.sso_sessions", {"<IDENTITY_CENTER_USER_ID>": f"user-{finding}", "c8e1f0aa": f"c8e1f0a{finding}"})
        attached = [policy["Name"] for policy in org.list_policies_for_target(TargetId=ACCOUNT, Filter="SERVICE_CONTROL_POLICY")["Policies"]]
        account.check(sum("DenyIdentityCenterUser" in name for name in attached) == int(finding), f"attached: {attached}")


@scenario
def only_named_roles_change_profiles(account, part):
    org = organization(account)
    trial = trial_account(org)
    account.run(part, "user", "prevent.scp", fails=("put the ARNs", "PolicyNotFound", "InvalidInput", "TargetNotFound"))
    account.check(not own_policies(account), f"made before the roles are named: {own_policies(account)}")
    for exempt in ("arn:aws:iam::*:role/deploy", "arn:aws:iam::*:role/KarpenterController"):
        fill = {"<EXEMPT_ROLE_ARN>": exempt, "<POLICY_ID>": own_policies(account).get("InstanceProfileChanges", "p-notyet00"), "<TRIAL_ACCOUNT_ID>": trial}
        account.run(part, "user", "prevent.scp", fill, fails=("PolicyNotFound",))
        account.check(list(own_policies(account)) == ["InstanceProfileChanges"], f"policies: {own_policies(account)}")
        text = org.describe_policy(PolicyId=own_policies(account)["InstanceProfileChanges"])["Policy"]["Content"]
        statement = json.loads(text)["Statement"][0]
        account.check(statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"] == [exempt], f"exempt: {text}")
        for action in ("iam:CreateInstanceProfile", "ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"):
            account.check(action in statement["Action"], f"{action} is not denied")
    of = lambda target: [policy["Name"] for policy in org.list_policies_for_target(TargetId=target, Filter="SERVICE_CONTROL_POLICY")["Policies"]]
    account.check("InstanceProfileChanges" in of(trial) and "InstanceProfileChanges" not in of(ACCOUNT), "it is to be on the trial account alone")


@scenario
def a_namesake_of_another_accounts_principal_is_left_alone(account, part):
    organization(account)
    profile(account, held="web-prod-role")
    key = user(account, password="Correct-horse-battery-1")
    iam = account.client("iam")
    iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    trust = json.dumps(EC2_TRUST).replace('"Service": "ec2.amazonaws.com"', '"AWS": "arn:aws:iam::444455556666:root"')
    iam.create_role(RoleName="for-partners", AssumeRolePolicyDocument=trust)
    before = iam.get_login_profile(UserName="eve")["LoginProfile"]
    for document in ("another account's user", "another account's session"):
        for item in [item["id"] for item in account.documents[document]]:
            if not item.startswith("restore."):
                account.run(part, document, item, key, fails=("",))
        account.check(keys(account) == {key[KEY]: "Active"}, f"{document}: the key of the namesake: {keys(account)}")
        account.check(not policies(account, "user", "eve") and not iam.list_attached_user_policies(UserName="eve")["AttachedPolicies"], f"{document}: the namesake got a policy")
        account.check(not policies(account, "role", "deployer"), f"{document}: the role of the same name got a policy")
        account.check(iam.get_login_profile(UserName="eve")["LoginProfile"] == before, f"{document}: the namesake's password changed")
        fails = ("AccountNotFound", "AlternateContact", "ResourceNotFound", "specified an account that doesn")
        found = account.run(part, document, "contain.other_account", fails=fails)
        account.check("for-partners" in found and "deployer" not in found, f"{document}: roles that it may assume: {found}")


@scenario
def look_ups_find_whole_names(account, part):
    arn, batch = profile(account, held="web-prod-role"), profile(account, "web-prod-batch", "batch-role", "batch-role")
    region = "eu-west-1"
    ours, others = instance(account, arn, region), instance(account, batch, region)
    ec2, scaling = account.client("ec2", region), account.client("autoscaling", region)
    for name, used in (("ours-by-name", {"Name": "web-prod"}), ("ours-by-arn", {"Arn": arn}), ("other-name", {"Name": "web-prod-batch"}), ("other-arn", {"Arn": batch})):
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"IamInstanceProfile": used})
    for name, used in (("ours-conf", "web-prod"), ("ours-conf-arn", arn), ("other-conf", "web-prod-batch"), ("other-conf-arn", batch), ("other-none", None)):
        held = {"IamInstanceProfile": used} if used else {}
        scaling.create_launch_configuration(LaunchConfigurationName=name, ImageId=image(account, region), InstanceType="t3.micro", **held)
    found = account.run(part, "user", "investigate.instances")
    account.check(ours in found and others not in found, f"instances: {found}")
    found = account.run(part, "user, console", "investigate.auto_scaling")
    for name in ("ours-by-name", "ours-by-arn", "ours-conf", "ours-conf-arn"):
        account.check(name in found, f"what starts instances: no {name} in {found}")
    account.check("other-" not in found, f"what starts instances: {found}")

    agent = {"userAgent": "tool web-prod instance-profile/web-prod"}
    records = [
        record("AddRoleToInstanceProfile", {"instanceProfileName": "web-prod", "roleName": "ours-1"}),
        record("AddRoleToInstanceProfile", {"instanceProfileName": "web-prod-batch", "roleName": "other-1"}),
        record("AddRoleToInstanceProfile", {"instanceProfileName": "db", "roleName": "other-2"}, **agent),
        record("RunInstances", {"iamInstanceProfile": {"name": "web-prod"}, "x": "ours-2"}, region),
        record("RunInstances", {"iamInstanceProfile": {"arn": arn}, "x": "ours-3"}, region),
        record("RunInstances", {"iamInstanceProfile": {"name": "web-prod-batch"}, "x": "other-3"}, region),
        record("RunInstances", {"iamInstanceProfile": {"arn": batch}, "x": "other-4"}, region),
        record("RunInstances", {"iamInstanceProfile": {"name": "db"}, "x": "other-5"}, region, **agent),
        record("AssociateIamInstanceProfile", {"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Name": "web-prod"}, "InstanceId": "ours-4"}}, region),
        record("ReplaceIamInstanceProfileAssociation", {"ReplaceIamInstanceProfileAssociationRequest": {"IamInstanceProfile": {"Arn": arn}, "AssociationId": "ours-5"}}, region),
    ]
    account.records(records)
    found = account.run(part, "user", "investigate.used_afterwards")
    for name in ("ours-1", "ours-2", "ours-3", "ours-4", "ours-5"):
        account.check(name in found, f"used afterwards: no {name} in {found}")
    account.check("other-" not in found, f"used afterwards: {found}")

    message = "User: x is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile {} because no"
    records = records[:3] + [
        record("RemoveRoleFromInstanceProfile", None, errorMessage=message.format("web-prod"), eventID="ours-6"),
        record("RemoveRoleFromInstanceProfile", None, errorMessage=message.format("web-prod-batch"), eventID="other-6"),
        record("DeleteInstanceProfile", {"instanceProfileName": "web-prod"}, at="2026-01-06T18:50:00Z", eventID="ours-7"),
        record("DeleteInstanceProfile", {"instanceProfileName": "web-prod"}, at="2025-09-06T18:50:00Z", eventID="other-7"),
    ]
    account.records(records)
    found = account.run(part, "user, tool", "investigate.profile_activity")
    for name in ("ours-1", "ours-6", "ours-7"):
        account.check(name in found, f"who else: no {name} in {found}")
    account.check("other-" not in found, f"who else: {found}")

    made = lambda key: {"responseElements": {"credentials": {"accessKeyId": key}}}
    account.records([
        record("AssumeRole", None, region, "2026-01-05T10:46:26Z", eventID="ours-8", **made("ASIAIOSFODNN7EXAMPLE")),
        record("AssumeRole", None, region, "2026-01-05T10:46:26Z", eventID="other-8", **made("ASIAIOSFODNN7EXAMPLF")),
        record("AssumeRole", None, region, "2026-01-03T10:46:26Z", eventID="other-9", **made("ASIAIOSFODNN7EXAMPLE")),
        record("GetCallerIdentity", None, region, "2026-01-05T10:46:26Z", eventID="other-10"),
    ])
    found = account.run(part, "session", "investigate.session_origin")
    account.check("ours-8" in found and "other-" not in found, f"who got the credentials: {found}")


@scenario
def a_comma_in_a_name_does_no_harm(account, part):
    arn = profile(account, "web,prod", "web-prod-role")
    one = instance(account, arn)
    found = account.run(part, "a comma", "investigate.instances")
    account.check(one in found, f"instances: {found}")
    account.run(part, "a comma", "restore.role")
    account.check(roles(account, "web,prod") == ["web-prod-role"], f"the profile holds {roles(account, 'web,prod')}")
    account.run(part, "a comma", "investigate.used_afterwards")


@scenario
def running_instances_get_their_profile_back(account, part):
    arn = profile(account, held="web-prod-role")
    other = profile(account, "db", "db-role", "db-role")
    one = instance(account, other)
    ec2 = account.client("ec2")
    found = lambda: ec2.describe_iam_instance_profile_associations(Filters=[{"Name": "instance-id", "Values": [one]}])["IamInstanceProfileAssociations"][0]
    fill = {"<INSTANCE_REGION>": "us-east-1", "<INSTANCE_ID>": one, "<ASSOCIATION_ID>": found()["AssociationId"]}
    account.run(part, "user", "restore.running_instances", fill)
    account.check(found()["IamInstanceProfile"]["Arn"] == arn, f"the instance has {found()}")
    account.run(part, "agents", "restore.verify")


@scenario
def a_deleted_role_and_profile_come_back(account, part):
    records = [
        record("DeleteRole", {"roleName": "web-prod-role"}, eventID="ours-1"),
        record("DetachRolePolicy", {"roleName": "web-prod-role", "policyArn": "ours-2"}),
        record("DetachRolePolicy", {"roleName": "web-prod-role-2", "policyArn": "other-1"}),
    ]
    account.records(records)
    fill = {"<POLICY_ARN>": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"}
    found = ""
    for item in [item["id"] for item in account.documents["user, console"] if item["id"].startswith("restore.") and "instances" not in item["id"]]:
        found += account.run(part, "user, console", item, fill, fails=("NoSuchEntity",))
    iam = account.client("iam")
    try:
        account.check(roles(account) == ["web-prod-role"], f"the profile holds {roles(account)}")
        attached = [policy["PolicyName"] for policy in iam.list_attached_role_policies(RoleName="web-prod-role")["AttachedPolicies"]]
        account.check(attached == ["AmazonSSMManagedInstanceCore"], f"the role has {attached}")
    except iam.exceptions.NoSuchEntityException as error:
        account.check(False, f"it did not come back: {error}")
    account.check(part == "boto3" or ("ours-1" in found and "ours-2" in found and "other-" not in found), f"records of the deletion: {found}")


@scenario
def passwords_are_strong_and_changed(account, part):
    user(account, password="Correct-horse-battery-1")
    user(account, "mallory", password="Correct-horse-battery-1")
    said = account.run(part, "user", "hardening.password_policy", fails=("calling the GetAccountPasswordPolicy",))
    iam = account.client("iam")
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    account.check(policy["MinimumPasswordLength"] == 14 and policy["RequireSymbols"], f"the policy: {policy}")
    account.check("password_last_changed" in said and "mallory" in said, f"no credential report of every user: {said[:200]}")
    account.check(iam.get_login_profile(UserName="eve")["LoginProfile"]["PasswordResetRequired"], "the user need not change the password")
    new = said.split()[-1] if said.split() else ""
    account.check(len(new) >= 20 and new.endswith("aA1_"), f"the new password is not told: {said[-80:]}")
    other = iam.get_login_profile(UserName="mallory")["LoginProfile"]
    account.check(not other.get("PasswordResetRequired"), "another user's password changed")


@scenario
def users_without_mfa_are_found_and_get_it(account, part):
    iam = account.client("iam")
    # More than a page holds.
    for number in range(101):
        iam.create_user(UserName=f"user-{number:03}") if part == "boto3" or number > 98 else None
    user(account)
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="user-100")["VirtualMFADevice"]
    iam.enable_mfa_device(UserName="user-100", SerialNumber=device["SerialNumber"], AuthenticationCode1="123456", AuthenticationCode2="654321")
    without = account.run(part, "user", "hardening.mfa", fails=("",))
    # eve is listed first, and the last user with a device not at all.
    account.check("eve" in without and "user-099" in without and "user-100" not in without, f"without MFA: {without}")
    account.check(len(iam.list_virtual_mfa_devices()["VirtualMFADevices"]) == 1, "a device was made before the user is named")
    seen = []
    if part == "cli":
        # What the user scans, before the last step removes it.
        item = account.item("user", "hardening.mfa")
        item["cli"].insert(2, "head -c 8 mfa.png | od -An -c")
        seen.append("P   N   G")
    else:
        item = account.item("user", "hardening.mfa")
        place = next((number for number, line in enumerate(item["boto3"]) if "enable_mfa" in line), 0)
        item["boto3"].insert(place, "print(len(open('mfa.png', 'rb').read()) > 0, 'QR code')")
        seen.append("True QR code")
    shown = account.run(part, "user", "hardening.mfa", {"<USER_NAME>": "eve", "<CODE_1>": "123456", "<CODE_2>": "654321"})
    account.check(all(text in shown for text in seen) or (part == "cli" and shown), f"no QR code is shown: {shown[-200:]}")
    account.check(len(iam.list_mfa_devices(UserName="eve")["MFADevices"]) == 1, "the user has no device")
    account.check(not list(account.home.iterdir()), "the QR code is left behind")


@scenario
def unused_keys_are_switched_off_and_deleted_only_when_named(account, part):
    evidence, unused = user(account), user(account, "mallory")
    both = lambda: {**keys(account), **keys(account, "mallory")}
    active = {evidence[KEY]: "Active", unused[KEY]: "Active"}
    found = account.run(part, "user", "hardening.access_keys", evidence, fails=("NoSuchEntity", "Invalid length", "ValidationError", "Invalid type"))
    account.check(evidence[KEY] in found and unused[KEY] in found and "mallory" in found, f"keys of all users: {found}")
    account.check(both() == active, f"changed before a key is named: {both()}")
    names = {"<USER_NAME>": "mallory", "<UNUSED_KEY_ID>": unused[KEY]}
    account.run(part, "user", "hardening.access_keys", {**evidence, **names})
    off = {**active, unused[KEY]: "Inactive"}
    account.check(both() == off, f"the named key is to be off, and still there: {both()}")
    account.check(account.documents["user"][-1]["id"] == "hardening.delete_access_key", "deletion is not the last item")
    account.run(part, "user", "hardening.delete_access_key", evidence, fails=("NoSuchEntity", "Invalid length", "ValidationError"))
    account.check(both() == off, f"deleted before a key is named: {both()}")
    found = account.run(part, "user", "hardening.delete_access_key", {**evidence, "<USER_NAME>": "mallory", "<INACTIVE_KEY_ID>": unused[KEY]})
    account.check(unused[KEY] in found, f"keys that are off: {found}")
    account.check(both() == {evidence[KEY]: "Active"}, f"the named key is to be gone: {both()}")


@scenario
def a_trail_records_and_can_be_read(account, part):
    account.client("s3").create_bucket(Bucket="trail-files")
    iam = account.client("iam")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    trail = account.client("cloudtrail")
    fill = {
        "<BUCKET>": "trail-files", "<READER_ROLE>": "reader", "<KEY_ARN>": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/x",
        "<TRAIL_ARN>": f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/management-events",
    }
    # A second finding finds the trail there, and makes none.
    for _ in range(2):
        account.run(part, "user", "hardening.cloudtrail", fill, fails=("No public keys found",))
        found = trail.describe_trails()["trailList"]
        account.check(len(found) == 1 and found[0]["IsMultiRegionTrail"] and found[0]["LogFileValidationEnabled"], f"trails: {found}")
        account.check(found and trail.get_trail_status(Name=found[0]["TrailARN"])["IsLogging"], "the trail does not record")
    text = json.dumps(policies(account, "role", "reader"))
    for action in ("s3:GetObject", "kms:Decrypt"):
        account.check(action in text, f"who reads the files lacks {action}: {text}")
    attached = [policy["PolicyName"] for policy in iam.list_attached_role_policies(RoleName="reader")["AttachedPolicies"]]
    account.check(attached == ["AWSCloudTrail_ReadOnlyAccess"], f"attached: {attached}")


@scenario
def the_next_attempt_is_heard_of(account, part):
    account.client("config").put_configuration_recorder(ConfigurationRecorder={"name": "default", "roleARN": f"arn:aws:iam::{ACCOUNT}:role/x"})
    for _ in range(2):
        account.run(part, "root", "prevent.detect", {"<SNS_TOPIC_ARN>": f"arn:aws:sns:us-east-1:{ACCOUNT}:calls", "<INSTANCE_REGION>": "us-east-1"})
    rules = account.client("events").list_rules()["Rules"]
    account.check([rule["Name"] for rule in rules] == ["instance-profile-changes"], f"rules: {rules}")


@scenario
def what_only_reads_runs(account, part):
    profile(account, held="web-prod-role")
    key = user(account)
    iam = account.client("iam")
    for role in ("deployer", "web-prod-role-ssm", "web-prod-role-admin"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
    iam.put_role_policy(RoleName="web-prod-role", PolicyName="inline", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}))
    one = instance(account, iam.get_instance_profile(InstanceProfileName="web-prod")["InstanceProfile"]["Arn"])
    mine = [record("PutUserPolicy", {}, userIdentity={"accessKeyId": key[KEY], "userName": "eve"})]
    account.records(mine)
    fill = {**key, "<INSTANCE_REGION>": "us-east-1", "<INSTANCE_ID>": one}
    for document, item, wanted in (
        ("user", "investigate.profile_now", "web-prod-role"),
        ("agents", "investigate.role_elsewhere", ""),
        ("user", "investigate.role_permissions", "Statement"),
        ("user", "investigate.actor_activity", "PutUserPolicy"),
        ("user", "investigate.actor_identity", key[KEY]),
        ("session", "investigate.actor_session", "ec2.amazonaws.com"),
        ("root", "contain.root", ""),
        ("root", "hardening.root_mfa", ""),
        ("session", "prevent.least_privilege", ""),
        ("privileged", "prevent.pass_role", ""),
        ("instance", "prevent.imdsv2", ""),
    ):
        found = account.run(part, document, item, fill)
        account.check(wanted in found, f"{item}: no {wanted} in {found}")
    options = account.client("ec2").describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["MetadataOptions"]
    account.check(options.get("HttpTokens") == "required", f"the metadata service takes no token: {options}")


def what_is_wrong_is_found(account):
    """The scenarios are worth something only if a bad step fails them."""
    account.documents = {"x": [
        {"id": "refused", "cli": ["aws iam get-role --rolename x"], "boto3": ["import boto3", "boto3.client('iam', region_name='us-east-1').get_role(Rolename='x')"]},
        {"id": "absent", "cli": ["aws iam get-role --role-name nobody"], "boto3": ["import boto3", "boto3.client('iam', region_name='us-east-1').get_role(RoleName='nobody')"]},
        {"id": "broken", "cli": ["aws 'iam"], "boto3": ["import boto3 boto3"]},
    ]}
    found = []
    for item in ("refused", "absent", "broken"):
        for part in PARTS:
            account.faults = []
            account.run(part, "x", item)
            if not account.faults:
                found.append(f"{item}, {part}: nothing was found")
    return found


def main():
    documents, chosen = json.load(sys.stdin)["documents"], sys.argv[2:]
    copy = lambda: json.loads(json.dumps(documents))
    account = Account(copy())
    said = {}
    try:
        for name, function in SCENARIOS.items():
            if chosen and name not in chosen:
                continue
            said[name] = []
            for part in PARTS:
                account.documents, account.faults = copy(), []
                account.reset()
                try:
                    function(account, part)
                except Exception:
                    account.faults.append(traceback.format_exc(limit=-3))
                said[name] += [f"{part}: {fault}" for fault in account.faults]
        every = {(item["id"], part) for items in documents.values() for item in items for part in PARTS if item.get(part)}
        said["every_step_is_run"] = [f"{item}, {part}: no scenario runs it" for item, part in sorted(every - account.ran)]
        ids = {item for item, _ in every}
        said["every_step_is_run"] += [f"{operation} is lacked by {item}, which there is not" for operation, (items, _, _) in LACKING.items() for item in items if item not in ids]
        said["what_is_wrong_is_found"] = what_is_wrong_is_found(account)
    finally:
        account.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
