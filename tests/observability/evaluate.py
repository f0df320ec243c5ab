"""Asks a Prometheus that scrapes `trailtag demo` whether rules and dashboard fit what the program shows.

usage: evaluate.py PROGRAM_ADDRESS PROMETHEUS_ADDRESS PROGRAM_PID

At the end the program is stopped, and the alert for that must begin to wait.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 90
# What Grafana puts in for its variables.
VARIABLES = {"$__rate_interval": "10s", "$__range": "5m", "$__interval": "10s", "$job": "trailtag"}
# Panels that the demo cannot fill: it delivers at least once and nothing goes wrong.
EMPTY = {"Dead letters and failed deliveries"}


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def wait(what, condition):
    """Until the condition gives something, which is returned."""
    end = time.monotonic() + PATIENCE_S
    last = None
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            last = error
        time.sleep(0.2)
    sys.exit(f"error: after {PATIENCE_S} s still not: {what} ({last})")


def main():
    program, prometheus, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def api(path, **parameters):
        url = f"http://{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            return json.loads(fetch(url))
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def shown():
        text = fetch(f"http://{program}/metrics")
        return text if "trailtag_consumer_lag{" in text and re.search(r"matched\"} [1-9]", text) else None

    scrape = wait("the demo shows a finding and a lag", shown)
    lint = subprocess.run(["promtool", "check", "metrics"], input=scrape, text=True, capture_output=True)
    faults = (lint.stdout + lint.stderr).strip().splitlines()
    faults = [f"promtool check metrics: {fault}" for fault in faults]
    if lint.returncode and not faults:
        faults.append(f"promtool check metrics ended with {lint.returncode}")
    families = set(re.findall(r"^# TYPE (\S+)", scrape, re.MULTILINE))

    rules = wait(
        "Prometheus has evaluated every rule",
        lambda: [
            rule
            for group in api("rules")["data"]["groups"]
            for rule in group["rules"]
            if all(r["health"] != "unknown" for g in api("rules")["data"]["groups"] for r in g["rules"])
        ],
    )
    # A rate needs two scrapes that differ.
    wait("a rate of messages", lambda: api("query", query="sum(rate(trailtag_messages_received_total[10s])) > 0")["data"]["result"])
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    queries = [(rule["name"], rule["query"]) for rule in rules]
    for rule in rules:
        if rule["health"] != "ok":
            faults.append(f"{rule['name']}: {rule['lastError']}")

    dashboard = json.loads((ROOT / "config/observability/grafana/trailtag.json").read_text())
    for panel in dashboard["panels"]:
        rows = 0
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            queries.append((panel["title"], query))
            answer = api("query", query=query)
            if answer["status"] != "success":
                faults.append(f"{panel['title']}: {answer['error']} in {query}")
            else:
                rows += len(answer["data"]["result"])
        if not rows and panel["title"] not in EMPTY:
            faults.append(f"{panel['title']}: no data")

    for name, query in queries:
        for metric in re.findall(r"(?<![:\w])(?:trailtag|process)_[a-z0-9_]+", query):
            if metric not in families and re.sub(r"_(bucket|sum|count)$", "", metric) not in families:
                faults.append(f"{name}: the program shows no {metric}")
        for metric in re.findall(r"\w+:trailtag_\w+:\w+", query):
            if metric not in recorded:
                faults.append(f"{name}: nothing records {metric}")

    os.kill(pid, signal.SIGTERM)

    def waiting():
        alerts = api("alerts")["data"]["alerts"]
        return [a for a in alerts if a["labels"]["alertname"] == "TrailtagAbsent" and a["state"] in ("pending", "firing")]

    wait("TrailtagAbsent is pending after the program was stopped", waiting)
    if faults:
        sys.exit("\n".join(["error:", *faults]))
    print(f"{len(rules)} rules and {len(dashboard['panels'])} panels evaluated on {len(families)} metrics of the program")


main()
