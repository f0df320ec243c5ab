#!/usr/bin/env bash
# What check.sh runs in namespaces of its own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../components/common.sh"
: "${kubernetes:?check.sh runs this}" "${helm:?}" "${kafka:?}" "${trailtag:?}" "${work:?}" "${group:?}" "${node:?}"
cd "$repository"
export PATH=$kubernetes/bin:$helm/bin:$PATH
# Nothing of the user's own is read or written.
export HELM_CACHE_HOME=$work/helm/cache HELM_CONFIG_HOME=$work/helm/config HELM_DATA_HOME=$work/helm/data
. tests/kubernetes/cluster.sh
. tests/kubernetes/releases.sh
. tests/kubernetes/kafka.sh
. tests/kubernetes/walk.sh

ours() { kubectl --namespace trailtag "$@"; }
# uids: of the pods, in order; a pod that was replaced has another.
uids() { ours get pods --selector app.kubernetes.io/component=service --sort-by=.metadata.name --output 'jsonpath={.items[*].metadata.uid}'; }
# metric POD NAME: its samples.
metric() { ours get --raw "/api/v1/namespaces/trailtag/pods/$1:9598/proxy/metrics" | grep "^trailtag_$2"; }

private_machine
say "an API server and its controllers"
control_plane
kinds
releases
say "a node, and Kafka"
node
start_kafka
for name in cloudtrail siem.elastic siem.urgent trailtag.dead-letter; do topic "$name" 4; done
records 1 5000

prepare_walk
walk Namespace
walk Secrets
walk Install
walk "Look at it"
exactly_once "after the install"

before=$(uids)
walk "Metrics, alerts, dashboard"
[ "$(uids)" = "$before" ] || fail "an upgrade that changes nothing of the configuration replaced pods"

walk "Change the configuration"
[ "$(uids)" != "$before" ] || fail "a change of the configuration replaced no pod"
[ "$(ours get configmap trailtag --output yaml | grep -c 'linger: 50ms')" = 1 ] || fail "the rollback did not bring the configuration back"

say "pods end in the middle of the work: asked to, killed, and replaced by an upgrade"
# Records come all the while.
stream() {
    local seed=2
    until [ -e "$work/enough" ]; do
        records "$seed" 5000
        seed=$((seed + 1))
    done
}
ready() { ours rollout status statefulset/trailtag --timeout=120s >/dev/null; }
stream &
streaming=$!
ours delete pod trailtag-0 --wait=false >/dev/null
ready
ours delete pod trailtag-1 --grace-period=0 --force >/dev/null 2>&1
ready
(cd "$work/walk" && helm upgrade trailtag helm/trailtag --namespace trailtag --reuse-values --set config.delivery.linger=60ms --wait >/dev/null)
touch "$work/enough"
wait "$streaming"
exactly_once "after all that"

say "the Job makes the topics that are missing"
kubectl create namespace topics >/dev/null
kubectl label namespace topics pod-security.kubernetes.io/enforce=restricted >/dev/null
kafka_client >"$work/kafka/client.properties"
kubectl --namespace topics create secret generic kafka-tools --from-file=client.properties="$work/kafka/client.properties" >/dev/null
kubectl --namespace topics create secret generic kafka-login --from-literal=password=unused >/dev/null
helm install trailtag helm/trailtag --namespace topics --set replicas=0 --timeout 3m \
    --set "config.kafka.bootstrap_servers={$secure}" --set 'config.kafka.topics={trail.one,cloudtrail}' \
    --set config.kafka.security.protocol=sasl_ssl,config.kafka.security.sasl.username=trailtag,secrets.sasl.existingSecret=kafka-login \
    --set topicJob.enabled=true,topicJob.existingSecret=kafka-tools,topicJob.partitions=3,topicJob.replicationFactor=1 >"$work/log/topics" 2>&1 ||
    fail "the install with the topic Job: $(cat "$work/log/topics") $(kubectl --namespace topics logs job/trailtag-topics 2>&1 | tail -n 5)"
partitions() { kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$plain" --describe --topic "$1" | sed -n 's/.*PartitionCount: \([0-9]*\).*/\1/p'; }
for name in trail.one trailtag.findings; do
    [ "$(partitions "$name")" = 3 ] || fail "the Job did not make $name"
done
[ "$(partitions cloudtrail)" = 4 ] || fail "the Job changed a topic that was there"
helm uninstall trailtag --namespace topics >/dev/null

say "what a pod that is asked to end says last"
ours logs trailtag-0 --follow >"$work/last-words" 2>&1 &
until_true "the log of trailtag-0" 60 test -s "$work/last-words"
ours delete pod trailtag-0 >/dev/null
grep -q 'stopped' "$work/last-words" || fail "the pod was not drained: $(tail -n 3 "$work/last-words")"

walk "Your own rules, lists and remediation"
before=$(uids)
seven_rules() { [ "$(metric trailtag-0 rules_loaded)" = "trailtag_rules_loaded 7" ] && [ "$(metric trailtag-1 rules_loaded)" = "trailtag_rules_loaded 7" ]; }
until_true "the rules of the changed ConfigMap" 180 seven_rules
[ "$(uids)" = "$before" ] || fail "a change in a ConfigMap of rules replaced pods"

walk Scale
grep -qx 'at most 4' "$work/log/walk" || fail "the number of pods is not capped at the partitions"
grep -qx 'now 1' "$work/log/walk" || fail "docs/kubernetes.md is wrong on what switching a scaler on does"
[ "$(ours get statefulset trailtag --output 'jsonpath={.status.readyReplicas}')" = 3 ] || fail "there are not three pods"
walk Uninstall
all_walked
say "docs/kubernetes.md was followed from its begin to its end"
