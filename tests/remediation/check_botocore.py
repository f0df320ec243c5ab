"""Holds the catalogue's commands and calls against AWS's own descriptions of its services, which botocore carries.

usage: check_botocore.py FOLDER     FOLDER is what tests/components/botocore.sh installed

Standard input: {"items": [{"id", "calls": [[argument]], "boto3": [line]}]}; `calls` are the words that a shell passed to
`aws`. Prints what is wrong, and then ends with 1. Only the descriptions are read: nothing of botocore is run, but the
function that turns an operation's name into that of a command.
"""

import ast
import gzip
import json
import re
import sys
from functools import cache
from pathlib import Path

FOLDER = Path(sys.argv[1])
sys.path.insert(0, str(FOLDER))
from botocore import xform_name  # noqa: E402

# What the CLI takes with every command, of that which the catalogue uses.
GLOBAL = {"region", "query", "output"}
# The CLI calls this service by another name than boto3.
SERVICES = {"configservice": "config"}
# Commands that are the CLI's own and no operation: they read the trail's files from S3 and compare hashes.
OWN_COMMANDS = {("cloudtrail", "validate-logs"): ({"trail-arn", "start-time"}, {"end-time", "s3-bucket", "verbose"})}
# Options that the CLI adds: it writes the QR code, which the operation returns as bytes, into a file, and has a switch for
# what the operation takes as {"Value": true}.
OWN_OPTIONS = {
    ("iam", "create-virtual-mfa-device"): {"outfile", "bootstrap-method"},
    ("ec2", "modify-instance-attribute"): {"disable-api-termination"},
}
PLACEHOLDER = re.compile(r"<[A-Z0-9_]+>")


class Service:
    """The description of one service."""

    def __init__(self, name):
        versions = sorted((FOLDER / "botocore/data" / name).iterdir())
        with gzip.open(versions[-1] / "service-2.json.gz") as file:
            model = json.load(file)
        self.shapes = model["shapes"]
        self.operations = {xform_name(operation): model["operations"][operation] for operation in model["operations"]}
        pages = versions[-1] / "paginators-1.json"
        self.paginated = {xform_name(name) for name in json.loads(pages.read_text())["pagination"]} if pages.exists() else set()

    def shape(self, reference):
        return self.shapes[reference["shape"]]

    def side(self, operation, side):
        reference = self.operations[operation].get(side)
        return self.shape(reference) if reference else {"type": "structure", "members": {}}


@cache
def service(name):
    return Service(name) if (FOLDER / "botocore/data" / name).is_dir() else None


def check_value(of, shape, value, where):
    """A value of JSON or of Python's literals; Ellipsis stands for what is only known when the program runs."""
    kind = shape["type"]
    if value is ...:
        return
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{where}: a structure is wanted"
            return
        for name in shape.get("required", []):
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, inner in value.items():
            if name not in shape["members"]:
                yield f"{where}: there is no {name}"
            else:
                yield from check_value(of, of.shape(shape["members"][name]), inner, f"{where}.{name}")
    elif kind == "list":
        if not isinstance(value, list) or not value:
            yield f"{where}: a list of something is wanted"
            return
        for inner in value:
            yield from check_value(of, of.shape(shape["member"]), inner, f"{where}[]")
    elif kind in ("string", "timestamp"):
        if not isinstance(value, str):
            yield f"{where}: text is wanted"
        elif "enum" in shape and value not in shape["enum"]:
            yield f"{where}: {value!r} is none of {', '.join(shape['enum'][:8])}"
        elif kind == "timestamp" and not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", value):
            yield f"{where}: {value!r} is no time"
        elif "pattern" in shape and not PLACEHOLDER.fullmatch(value) and not matches(shape["pattern"], PLACEHOLDER.sub("x", value)):
            yield f"{where}: {value!r} is not like {shape['pattern']}"
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{where}: True or False is wanted"
    elif kind in ("integer", "long"):
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{where}: a number is wanted"
        elif not shape.get("min", value) <= value <= shape.get("max", value):
            yield f"{where}: {value} is out of bounds"


def matches(pattern, value):
    try:
        return re.fullmatch(pattern, value)
    except re.error:  # Java's dialect, which has classes that Python's has not.
        return True


def shorthand(text):
    """`A=b,C=d`, or JSON, or the plain text."""
    if text[:1] in ("{", "["):
        return json.loads(text)
    if "=" not in text:
        return text
    return dict(part.split("=", 1) for part in text.split(","))


def cli_value(of, shape, words):
    kind = shape["type"]
    if kind == "boolean":
        return True if not words else None
    if kind == "list":
        inner = of.shape(shape["member"])
        values = [cli_value(of, inner, [word]) for word in words]
        return values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if len(words) != 1:
        return None
    if kind == "structure":
        value = shorthand(words[0])
        # Shorthand has no lists of one: `Values=a` is a list where a list is wanted.
        for name, inner in value.items() if isinstance(value, dict) else ():
            member = shape["members"].get(name)
            if member and of.shape(member)["type"] == "list" and isinstance(inner, str):
                value[name] = [inner]
        return value
    if kind in ("integer", "long"):
        return int(words[0]) if words[0].isdigit() else None
    return words[0]


def check_call(words):
    name, command, *rest = words
    where = f"aws {name} {command}"
    options, option = {}, None
    for word in rest:
        if word.startswith("--"):
            option = word[2:]
            if option in options:
                yield f"{where}: --{option} stands twice"
            options[option] = []
        elif option is None:
            yield f"{where}: {word!r} belongs to no option"
        else:
            options[option].append(word)
    for option in GLOBAL & options.keys():
        if len(options[option]) != 1:
            yield f"{where}: --{option} takes one value"
    given = {option: words for option, words in options.items() if option not in GLOBAL}
    if (name, command) in OWN_COMMANDS:
        required, optional = OWN_COMMANDS[name, command]
        for option in required - given.keys():
            yield f"{where}: --{option} is missing"
        for option in given.keys() - required - optional:
            yield f"{where}: there is no --{option}"
        return
    of = service(SERVICES.get(name, name))
    if of is None or name == "config":
        yield f"{where}: there is no such service"
        return
    operation = command.replace("-", "_")
    if operation not in of.operations:
        yield f"{where}: there is no such command"
        return
    shape = of.side(operation, "input")
    members = {xform_name(member, "-"): member for member in shape["members"]}
    values = {}
    for option, words in given.items():
        if option in OWN_OPTIONS.get((name, command), ()):
            continue
        member = members.get(option)
        if member is None and option.startswith("no-") and not words:
            # A truth's own opposite.
            member = members.get(option[3:])
            if member and of.shape(shape["members"][member])["type"] == "boolean":
                values[member] = False
                continue
            member = None
        if member is None:
            yield f"{where}: there is no --{option}"
        else:
            values[member] = cli_value(of, of.shape(shape["members"][member]), words)
    yield from check_value(of, shape, values, where)
    query = re.match(r"[A-Za-z]\w*", "".join(options.get("query", [])))
    if query and query[0] not in of.side(operation, "output")["members"]:
        yield f"{where}: its answer has no {query[0]}"


class Calls(ast.NodeVisitor):
    """Follows clients and answers through the lines of one item."""

    def __init__(self):
        self.known = {}
        self.faults = []
        self.count = 0

    def fault(self, node, text):
        self.faults.append(f"boto3 line {node.lineno}: {text}")

    def literal(self, node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.literal(part) for part in node.elts]
        if isinstance(node, ast.Dict):
            return {self.literal(key): self.literal(value) for key, value in zip(node.keys, node.values)}
        return ...

    def kind(self, node):
        """("client", service), ("pages", service, operation) or ("answer", service, shape); none where unknown."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Subscript):
            return self.part(node)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return None
        name = node.func.attr
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "boto3":
            return ("client", service(self.literal(node.args[0])))
        of = self.kind(node.func.value)
        if of is None or of[1] is None:
            return None
        if of[0] == "client" and name == "get_paginator":
            return ("pages", of[1], self.literal(node.args[0]))
        if of[0] == "client" and name in of[1].operations:
            return ("answer", of[1], of[1].side(name, "output"))
        if of[0] == "pages" and name == "paginate" and of[2] in of[1].operations:
            return ("each", of[1], of[1].side(of[2], "output"))
        return None

    def part(self, node):
        of = self.kind(node.value)
        key = self.literal(node.slice)
        if of is None or of[0] != "answer":
            return None
        if of[2]["type"] == "structure" and isinstance(key, str):
            if key not in of[2]["members"]:
                self.fault(node, f"the answer has no {key}")
                return None
            return ("answer", of[1], of[1].shape(of[2]["members"][key]))
        if of[2]["type"] == "list":
            return ("answer", of[1], of[1].shape(of[2]["member"]))
        return None

    def element(self, target, values):
        of = self.kind(values)
        if isinstance(target, ast.Name) and of:
            if of[0] == "each":
                self.known[target.id] = ("answer", *of[1:])
            elif of[0] == "answer" and of[2]["type"] == "list":
                self.known[target.id] = ("answer", of[1], of[1].shape(of[2]["member"]))

    def visit_Assign(self, node):
        self.generic_visit(node)
        if isinstance(node.targets[0], ast.Name):
            self.known[node.targets[0].id] = self.kind(node.value)

    def visit_For(self, node):
        self.element(node.target, node.iter)
        self.generic_visit(node)

    def comprehension(self, node):
        for generator in node.generators:
            self.element(generator.target, generator.iter)
        self.generic_visit(node)

    visit_ListComp = visit_GeneratorExp = comprehension

    def visit_Subscript(self, node):
        self.part(node)
        self.generic_visit(node)

    def visit_Call(self, node):
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute):
            return
        name, keywords = node.func.attr, {keyword.arg: self.literal(keyword.value) for keyword in node.keywords}
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "boto3":
            self.count += 1
            if name != "client" or service(self.literal(node.args[0])) is None or keywords.keys() - {"region_name"}:
                self.fault(node, "no client of a service that there is")
            return
        of = self.kind(node.func.value)
        if of is None:
            return
        if of[0] == "client" and name == "get_paginator":
            if self.literal(node.args[0]) not in of[1].paginated:
                self.fault(node, "no such paginator")
        elif of[0] == "client" or (of[0] == "pages" and name == "paginate"):
            operation = of[2] if of[0] == "pages" else name
            if operation not in of[1].operations:
                self.fault(node, f"no such method: {name}")
                return
            self.count += 1
            if node.args:
                self.fault(node, f"{name} takes keywords only")
            for fault in check_value(of[1], of[1].side(operation, "input"), keywords, operation):
                self.fault(node, fault)


def check_item(item):
    for words in item["calls"]:
        yield from check_call(words)
    calls = Calls()
    calls.visit(ast.parse("\n".join(item["boto3"])))
    yield from dict.fromkeys(calls.faults)
    if item["boto3"] and calls.count < 2:
        yield "boto3: it makes no client, or calls nothing"


def main():
    found = [f"{item['id']}: {fault}" for item in json.load(sys.stdin)["items"] for fault in check_item(item)]
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
