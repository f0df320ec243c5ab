# A real Kafka outside of Kubernetes, which wants TLS and a password and grants what docs/security.md says; to be sourced by
# inside.sh. Pods know it as kafka.kafka.svc.cluster.local:9093; the test itself asks it at 127.0.0.1:9092, without a login.
# shellcheck shell=bash disable=SC2154 # inside.sh has the variables

broker=kafka.kafka.svc.cluster.local
secure=$broker:9093
plain=127.0.0.1:9092

kafka_tool() {
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dtrailtag.level=WARN "-Dlog4j2.configurationFile=$kafka/log4j2.yaml" \
        -cp "$kafka/libs/*" "$@"
}

start_kafka() {
    mkdir "$work/kafka"
    openssl rand -hex 16 | tr -d '\n' >"$work/kafka/password.txt"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=authority of the test' \
        -keyout "$work/kafka/ca.key" -out "$work/kafka/ca.crt" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$broker" -keyout "$work/kafka/broker.key" -out "$work/kafka/broker.csr" 2>/dev/null
    openssl x509 -req -in "$work/kafka/broker.csr" -CA "$work/kafka/ca.crt" -CAkey "$work/kafka/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo "subjectAltName=DNS:$broker") -out "$work/kafka/broker.crt" 2>/dev/null
    cat "$work/kafka/broker.key" "$work/kafka/broker.crt" "$work/kafka/ca.crt" >"$work/kafka/broker.pem"
    cat >"$work/kafka/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9094
controller.listener.names=CONTROLLER
listeners=SASL_SSL://$node:9093,PLAINTEXT://$plain,CONTROLLER://127.0.0.1:9094
advertised.listeners=SASL_SSL://$secure,PLAINTEXT://$plain
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=$work/kafka/broker.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:admin
log.dirs=$work/kafka/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
    kafka_tool kafka.tools.StorageTool format --cluster-id trailtag --config "$work/kafka/server.properties" \
        --add-scram "SCRAM-SHA-512=[name=trailtag,password=$(cat "$work/kafka/password.txt")]" \
        --add-scram "SCRAM-SHA-512=[name=admin,password=$(cat "$work/kafka/password.txt")]" >"$work/log/kafka-format" 2>&1 ||
        fail "Kafka's storage could not be formatted: $(tail -n 5 "$work/log/kafka-format")"
    run kafka java -Xmx1g "-Dlog4j2.configurationFile=$kafka/log4j2.yaml" -cp "$kafka/libs/*" kafka.Kafka "$work/kafka/server.properties"
    until_true "the broker" 120 kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$plain" --list

    # What docs/security.md grants, in one call each.
    local acl=(kafka_tool org.apache.kafka.tools.AclCommand --bootstrap-server "$plain" --add --allow-principal User:trailtag)
    "${acl[@]}" --operation Read --operation Describe --topic cloudtrail >/dev/null
    "${acl[@]}" --operation Read --group trailtag >/dev/null
    "${acl[@]}" --operation Write --operation Describe --operation DescribeConfigs \
        --topic siem.elastic --topic siem.urgent --topic trailtag.dead-letter >/dev/null
    "${acl[@]}" --operation Write --operation Describe --transactional-id trailtag- --resource-pattern-type prefixed >/dev/null

    # A service without pods: the name of what is outside.
    kubectl create namespace kafka >/dev/null
    kubectl apply --filename - >/dev/null <<SERVICE
apiVersion: v1
kind: Service
metadata: {name: kafka, namespace: kafka}
spec: {clusterIP: None, ports: [{name: sasl-ssl, port: 9093}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kafka, namespace: kafka, labels: {kubernetes.io/service-name: kafka}}
addressType: IPv4
endpoints: [{addresses: ["$node"], conditions: {ready: true}}]
ports: [{name: sasl-ssl, port: 9093}]
SERVICE
    until_true "the broker's name" 60 getent hosts "$broker"
}

# kafka_client: how Kafka's own tools log in from a pod, as one who may make topics.
kafka_client() {
    cat <<CLIENT
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$(cat "$work/kafka/password.txt")";
ssl.truststore.type=PEM
ssl.truststore.certificates=$(awk '{ printf "%s\\n", $0 }' "$work/kafka/ca.crt")
CLIENT
}

topic() { kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$plain" --create --partitions "$2" --topic "$1" >/dev/null 2>&1; }

# records SEED NUMBER: puts CloudTrail into the topic, and the ids that must come out of it into expected.
records() {
    local what=(generate --seed "$1" --records "$2" --match-rate 0.02)
    "$trailtag" "${what[@]}" | "$trailtag" process 2>/dev/null | identifiers >>"$work/expected"
    "$trailtag" "${what[@]}" --topic cloudtrail --brokers "$plain" >>"$work/log/generate" 2>&1 || fail "the records did not get into the topic"
}
identifiers() {
    python3 -c '
import json, sys
for line in sys.stdin:
    document = json.loads(line)
    print(document["event"]["id"] if "id" in document["event"] else document["event"]["eventID"])'
}

# settled: the group has committed all that is in the topic.
settled() {
    kafka_tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$plain" --describe --group trailtag --offsets 2>/dev/null |
        awk '$2 == "cloudtrail" { rows++; print; if ($6 != "0") late = 1 } END { exit !(rows == 4 && !late) }'
}

# What a read_committed reader sees must be what was expected: none lost, none doubled.
exactly_once() {
    until_true "$1: the group has read all" 180 settled
    kafka_tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$plain" --topic siem.elastic --from-beginning \
        --isolation-level read_committed --timeout-ms 5000 2>/dev/null | identifiers >"$work/seen" || true
    sort "$work/expected" >"$work/expected.sorted"
    sort "$work/seen" | diff "$work/expected.sorted" - >"$work/difference" ||
        fail "$1: lost (<) or doubled (>) findings: $(head -n 5 "$work/difference") … $(wc -l <"$work/seen") of $(wc -l <"$work/expected")"
    [ -s "$work/seen" ] || fail "$1: no finding at all"
    say "$1: $(wc -l <"$work/seen") findings, each once"
}
