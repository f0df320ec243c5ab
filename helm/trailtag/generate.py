#!/usr/bin/env python3
"""Writes what in this chart follows from something else, so that nothing is said twice:

    values.yaml          the keys under `config:`, out of config/trailtag.yaml, with its comments and defaults
    values.schema.json   out of config/schema.json for `config:`, and out of the table below for all other values
    README.md            the table of values, out of the comments of values.yaml

usage: generate.py            writes them
       generate.py --check    says which are stale, and exits 1
"""

import json
import pathlib
import re
import sys

chart = pathlib.Path(__file__).resolve().parent
program = chart.parent.parent / "config"

# Where the chart's default differs from the program's: the line, and what to say of it.
CHANGED = {
    "kafka.bootstrap_servers": ("[]", "The brokers for the first connection, each host:port. Required."),
    "kafka.memory_budget": (
        "null",
        "The memory in bytes for librdkafka's queues, of all workers together; null: half of what\n"
        "resources.limits.memory leaves beyond 64 MiB.",
    ),
    "delivery.transactional_id_prefix": ('""', "Leave it empty: every pod has its own prefix, see transactionalIdPrefix."),
    "workers": (
        "null",
        "The number of workers in a pod; 0: one per CPU core of the node; null: resources.limits.cpu, or else\n"
        "resources.requests.cpu, rounded up.",
    ),
}
# A password in values would stand in the release's history: only a Secret may hold one.
LEFT_OUT = {"kafka.security.sasl.password"}

# The schema of the values outside `config`.
TEXT, FLAG, LIST, MAP = {"type": "string"}, {"type": "boolean"}, {"type": "array"}, {"type": "object"}
WORDS = {"type": "object", "additionalProperties": {"type": "string"}}
NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
COUNT = {"type": "integer", "minimum": 1}
FROM_ZERO = {"type": "integer", "minimum": 0}
INTERVAL = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}


def keys(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


def one_of(*words):
    return {"enum": list(words)}


FILE = keys(configMap=TEXT, key={"type": "string", "minLength": 1})
MONITOR = keys(enabled=FLAG, labels=WORDS, interval=INTERVAL)
QUANTITIES = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number"], "pattern": r"^[0-9.]+(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"},
}
SCALING = {
    "enabled": FLAG,
    "minReplicas": COUNT,
    "maxReplicas": COUNT,
    "partitions": FROM_ZERO,
    "lagPerReplica": COUNT,
}
VALUES = {
    "transactionalIdPrefix": {"type": "string", "pattern": "^[A-Za-z0-9._-]*$"},
    "secrets": keys(
        sasl=keys(existingSecret=TEXT, passwordKey={"type": "string", "minLength": 1}, usernameKey=TEXT),
        tls=keys(existingSecret=TEXT, caKey=TEXT, certKey=TEXT, keyKey=TEXT),
        httpTls=keys(
            existingSecret=TEXT,
            certKey={"type": "string", "minLength": 1},
            keyKey={"type": "string", "minLength": 1},
            caKey=TEXT,
        ),
        httpToken=keys(existingSecret=TEXT, key={"type": "string", "minLength": 1}),
    ),
    "files": keys(
        severity=FILE,
        remediation=FILE,
        profilesInUse=FILE,
        awsNetworks=FILE,
        rules=NAMES,
        threatNetworks={
            "type": "array",
            "items": {
                **keys(configMap={"type": "string", "minLength": 1}, key={"type": "string", "minLength": 1}),
                "required": ["configMap", "key"],
            },
        },
    ),
    "replicas": FROM_ZERO,
    "image": keys(
        repository={"type": "string", "minLength": 1},
        tag=TEXT,
        digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        pullPolicy=one_of("Always", "IfNotPresent", "Never"),
        pullSecrets=NAMES,
    ),
    "nameOverride": TEXT,
    "fullnameOverride": TEXT,
    "labels": WORDS,
    "podLabels": WORDS,
    "podAnnotations": WORDS,
    "resources": keys(requests=QUANTITIES, limits=QUANTITIES),
    "serviceAccount": keys(create=FLAG, name=TEXT, annotations=WORDS, automountToken=FLAG),
    "podSecurityContext": MAP,
    "securityContext": MAP,
    "podDisruptionBudget": keys(enabled=FLAG, maxUnavailable={"type": ["integer", "string"]}),
    "spread": FLAG,
    "topologySpreadConstraints": LIST,
    "nodeSelector": WORDS,
    "tolerations": LIST,
    "affinity": MAP,
    "priorityClassName": TEXT,
    "probes": keys(startupFailures=COUNT, livenessPeriod=COUNT, readinessPeriod=COUNT),
    "extraEnv": LIST,
    "extraEnvFrom": LIST,
    "extraVolumes": LIST,
    "extraVolumeMounts": LIST,
    "networkPolicy": keys(
        enabled=FLAG,
        ingressFrom=LIST,
        brokers=LIST,
        brokerPorts={"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
        extraEgress=LIST,
    ),
    "monitoring": keys(
        tls=keys(serverName=TEXT, insecureSkipVerify=FLAG),
        podMonitor=MONITOR,
        serviceMonitor=MONITOR,
        prometheusRule=keys(enabled=FLAG, labels=WORDS, runbookUrl={"type": "string", "pattern": "^(https?://.+)?$"}),
        dashboard=keys(enabled=FLAG, labels=WORDS, annotations=WORDS),
    ),
    "autoscaling": keys(**SCALING),
    "keda": keys(
        **{**SCALING, "minReplicas": FROM_ZERO},
        pollingInterval=COUNT,
        cooldownPeriod=FROM_ZERO,
        authentication=TEXT,
    ),
    "topicJob": keys(
        enabled=FLAG, image=TEXT, command=TEXT, partitions=COUNT, replicationFactor=COUNT, stepsRetentionMs=COUNT,
        existingSecret=TEXT
    ),
    "test": keys(image=TEXT),
    # Helm's own, which a chart of charts passes on.
    "global": MAP,
}

# A key of a map, as both YAML files write it: indented by twos, one a line.
KEY = re.compile(r"^( *)([A-Za-z_]\w*):(?: (.*))?$")


def entries(lines):
    """Each key with its dotted path, its value as written, the comment above it, and its line."""
    path, comment = [], []
    for number, line in enumerate(lines):
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("#").strip())
            continue
        if match := KEY.match(line):
            depth = len(match[1]) // 2
            path[depth:] = [match[2]]
            yield ".".join(path), (match[3] or "").strip(), " ".join(comment), number
        comment = []


def config_block():
    """config/trailtag.yaml, as it stands in values.yaml."""
    lines = (program / "trailtag.yaml").read_text().splitlines()
    # What it says of itself, up to the first empty line, is not about a key.
    lines = lines[lines.index("") + 1 :]
    at = {number: key for key, _, _, number in entries(lines)}
    missing = (set(CHANGED) | LEFT_OUT) - set(at.values())
    if missing:
        sys.exit(f"generate.py: config/trailtag.yaml has no {', '.join(sorted(missing))}: change CHANGED or LEFT_OUT")
    written, comment = [], []
    for number, line in enumerate(lines):
        if line.strip().startswith("#"):
            comment.append(line)
            continue
        key = at.get(number)
        if key in LEFT_OUT:
            comment = []
            continue
        if key in CHANGED:
            value, text = CHANGED[key]
            indent = line[: len(line) - len(line.lstrip())]
            comment = [f"{indent}# {part}" for part in text.split("\n")]
            line = f"{indent}{key.split('.')[-1]}: {value}"
        written += [*comment, line]
        comment = []
    return ["  " + line if line else "" for line in written]


def values():
    lines = (chart / "values.yaml").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("  # begin of what"))
    end = next(i for i, line in enumerate(lines) if line.startswith("  # end of what"))
    return "\n".join([*lines[: begin + 1], *config_block(), *lines[end:], ""])


def schema(text):
    own = json.loads((program / "schema.json").read_text())
    definitions = own.pop("$defs")
    del definitions["Sasl"]["properties"]["password"]
    for name in ("client", "consumer", "producer"):
        # YAML reads true and 30000 as what they look like. The program takes them as text.
        definitions["Kafka"]["properties"][name]["additionalProperties"] = {"type": ["string", "number", "boolean"]}
    for owner, name in ((definitions["Kafka"], "memory_budget"), (own, "workers")):
        owner["properties"][name]["type"] = ["integer", "null"]
    # The template says what to set, where the schema could only say that it is too short.
    del definitions["Kafka"]["properties"]["bootstrap_servers"]["minItems"]
    config = {key: own[key] for key in ("type", "additionalProperties", "properties")}
    about = {key: comment for key, _, comment, _ in entries(text.splitlines())}
    described(config, "config", about)
    properties = {"config": config}
    for name, value in VALUES.items():
        properties[name] = described(json.loads(json.dumps(value)), name, about)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart trailtag",
        **keys(**properties),
        "$defs": definitions,
    }
    named = {name for name in about if not name.startswith("config.")}
    unknown = [name for name in listed(whole) if name not in named and name != "global" and not name.startswith("config.")]
    if unknown:
        sys.exit(f"generate.py: in the table of generate.py and not in values.yaml: {', '.join(unknown)}")
    return json.dumps(without_defaults(whole), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def without_defaults(node):
    """values.yaml holds the chart's defaults: the program's would contradict it here and there."""
    if isinstance(node, dict):
        # `default` is a keyword here, never the name of a setting.
        return {key: without_defaults(value) for key, value in node.items() if key != "default"}
    return [without_defaults(item) for item in node] if isinstance(node, list) else node


def described(node, path, about):
    if path in about and about[path]:
        node["description"] = about[path]
    for name, value in node.get("properties", {}).items():
        if not path.startswith("config"):
            described(value, f"{path}.{name}", about)
    return node


def listed(node, path=""):
    for name, value in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here
        if here != "config":
            yield from listed(value, here)


def readme(text):
    path = chart / "README.md"
    before, rest = path.read_text().split("<!-- begin of the generated table -->\n")
    _, after = rest.split("<!-- end of the generated table -->\n")
    rows = []
    found = list(entries(text.splitlines()))
    for place, (key, value, comment, _) in enumerate(found):
        inner = place + 1 < len(found) and found[place + 1][0].startswith(key + ".")
        if inner and comment.startswith("begin of what"):
            comment = ""
        comment = comment.replace("|", "\\|")
        rows.append(f"| `{key}` | {comment} | {'' if inner or not value else f'`{value}`'} |")
    table = "\n".join(["| value | meaning | default |", "|---|---|---|", *rows, ""])
    return (
        f"{before}<!-- begin of the generated table -->\n{table}<!-- end of the generated table -->\n{after}"
    )


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    text = values()
    stale = []
    for name, new in (("values.yaml", text), ("values.schema.json", schema(text)), ("README.md", readme(text))):
        path = chart / name
        if path.exists() and path.read_text() == new:
            continue
        if check:
            stale.append(name)
        else:
            path.write_text(new)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}. Write them anew with helm/trailtag/generate.py")


if __name__ == "__main__":
    main()
