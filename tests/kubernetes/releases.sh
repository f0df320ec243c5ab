# Installs, changes, rolls back and removes the chart with every file of its folder ci/; to be sourced by inside.sh.
# No node is needed: these releases name images and brokers that are nowhere.
# shellcheck shell=bash disable=SC2154 # inside.sh has the variables

restricted() {
    local namespace=$1 mode
    kubectl create namespace "$namespace"
    for mode in enforce warn audit; do
        kubectl label namespace "$namespace" "pod-security.kubernetes.io/$mode=restricted" >/dev/null
    done
    # The account that pods have by themselves comes a moment after the namespace.
    until_true "the account of $namespace" 60 kubectl --namespace "$namespace" get serviceaccount default
}

# dry NAMESPACE: what the API server says of the manifests on standard input. A warning is a fault.
dry() { kubectl --namespace "$1" apply --server-side --dry-run=server --warnings-as-errors --filename - >"$work/dry" 2>&1; }

# A StatefulSet is stored whatever its pods are; only the pod itself is refused. So it is asked for, as the template has it.
# pod NAMESPACE KIND/NAME
pod_of() {
    kubectl --namespace "$1" get "$2" --output json | as_pod
}
as_pod() {
    python3 -c '
import json, sys
template = json.load(sys.stdin)["spec"]["template"]
template["metadata"] = {**template["metadata"], "name": "tried"}
template["metadata"].pop("creationTimestamp", None)
json.dump({"apiVersion": "v1", "kind": "Pod", **template}, sys.stdout)'
}

# field PATH: of the StatefulSet.
field() { kubectl --namespace "$namespace" get statefulset trailtag --output "jsonpath={$1}"; }
checksum() { field '.spec.template.metadata.annotations.checksum/config'; }
generation() { field .metadata.generation; }

# leftovers NAMESPACE: the objects of the release, of every kind that there is. Events tell of the past, and Endpoints are EndpointSlices in an older form.
leftovers() {
    local kinds
    kinds=$(kubectl api-resources --verbs=list --namespaced --output name | grep -v '^events\|^endpoints$' | paste -sd, -)
    kubectl --namespace "$1" get "$kinds" --selector app.kubernetes.io/instance=trailtag --output name
    kubectl --namespace "$1" get secret --selector owner=helm --output name
}
nothing_left() {
    local left
    left=$(leftovers "$1") || return 1
    [ -z "$left" ] || { echo "$left"; return 1; }
}

release() {
    local file=$1 name namespace before after
    name=$(basename "$file" -values.yaml)
    namespace=ci-$name
    say "values $name: dry run, install, upgrade, rollback, uninstall"
    restricted "$namespace" >/dev/null

    helm template trailtag "$chart" --no-hooks --namespace "$namespace" --kube-version "$version" --values "$file" | dry "$namespace" ||
        fail "$name: the API server does not take it without a word: $(cat "$work/dry")"
    # Hooks that are pods would have to end, and here no pod runs.
    helm install trailtag "$chart" --no-hooks --namespace "$namespace" --values "$file" >/dev/null || fail "$name: helm install fails"
    pod_of "$namespace" statefulset/trailtag | dry "$namespace" || fail "$name: its pods would be refused: $(cat "$work/dry")"
    helm get hooks trailtag --namespace "$namespace" >"$work/hooks"
    dry "$namespace" <"$work/hooks" || fail "$name: its hooks are not taken without a word: $(cat "$work/dry")"
    if grep -q '^kind: Job' "$work/hooks"; then
        kubectl --namespace "$namespace" apply --dry-run=server --filename "$work/hooks" --selector app.kubernetes.io/component=topics --output json |
            as_pod | dry "$namespace" || fail "$name: the Job's pod would be refused: $(cat "$work/dry")"
    fi

    before=$(checksum)
    [ -n "$before" ] || fail "$name: no checksum of the configuration"
    after=$(generation)
    helm upgrade trailtag "$chart" --no-hooks --namespace "$namespace" --values "$file" --set config.delivery.linger=75ms >/dev/null ||
        fail "$name: helm upgrade fails"
    [ "$(checksum)" != "$before" ] || fail "$name: the checksum does not follow the configuration"
    [ "$(generation)" -gt "$after" ] || fail "$name: the upgrade changed nothing of the StatefulSet"
    kubectl --namespace "$namespace" get configmap trailtag --output yaml | grep -q 'linger: 75ms' || fail "$name: the upgrade did not reach the ConfigMap"

    after=$(generation)
    helm rollback trailtag 1 --no-hooks --namespace "$namespace" >/dev/null || fail "$name: helm rollback fails"
    [ "$(checksum)" = "$before" ] || fail "$name: the rollback did not bring the configuration back"
    [ "$(generation)" -gt "$after" ] || fail "$name: the rollback changed nothing of the StatefulSet"

    [ -n "$(leftovers "$namespace")" ] || fail "$name: the search for what is left finds nothing even before"
    helm uninstall trailtag --no-hooks --namespace "$namespace" >/dev/null || fail "$name: helm uninstall fails"
    until_true "$name: objects that the uninstall left" 60 nothing_left "$namespace"
    kubectl delete namespace "$namespace" --wait=false >/dev/null
}

# refused ARGUMENTS...: helm install must fail, with a word of $why in what it says.
refused() {
    if helm install trailtag "$chart" --no-hooks --namespace refused --values "$chart/ci/default-values.yaml" "$@" >/dev/null 2>"$work/error"; then
        fail "helm install takes $*"
    fi
    grep -q "$why" "$work/error" || fail "$* is refused for another reason: $(cat "$work/error")"
}

# The kinds of the Prometheus operator and of KEDA, which are not there to act on them.
kinds() {
    kubectl apply --server-side --filename "$helm/crds" >/dev/null
    kubectl wait --for=condition=Established --timeout=60s --filename "$helm/crds" >/dev/null
}

releases() {
    local chart=$repository/helm/trailtag version file why
    version=$(kubectl version --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["serverVersion"]["gitVersion"])')
    say "the level restricted is enforced, and seen"
    restricted refused >/dev/null
    # The chart's own pod with one right too many.
    helm template trailtag "$chart" --no-hooks --namespace refused --kube-version "$version" --values "$chart/ci/default-values.yaml" \
        --set securityContext.allowPrivilegeEscalation=true >"$work/manifests"
    if dry refused <"$work/manifests"; then fail "a warning of the API server counts for nothing"; fi
    grep -q 'would violate PodSecurity "restricted' "$work/dry" || fail "the API server warns of something else: $(cat "$work/dry")"
    helm install trailtag "$chart" --no-hooks --namespace refused --values "$chart/ci/default-values.yaml" \
        --set securityContext.allowPrivilegeEscalation=true >"$work/install" 2>&1 || fail "helm install fails: $(cat "$work/install")"
    if pod_of refused statefulset/trailtag | kubectl --namespace refused create --dry-run=server --filename - >/dev/null 2>"$work/error"; then
        fail "a pod that violates the level restricted is taken"
    fi
    grep -q 'violates PodSecurity "restricted' "$work/error" || fail "the pod is refused for another reason: $(cat "$work/error")"
    helm uninstall trailtag --namespace refused >/dev/null

    say "a typo and a contradiction are refused"
    why='additional properties' refused --set config.kafka.bootstrap_server=x
    why='additional properties' refused --set replica=3
    why='set one of them to false' refused --set autoscaling.enabled=true,autoscaling.partitions=4,keda.enabled=true,keda.partitions=4
    why='there is no password' refused --set config.kafka.security.protocol=sasl_ssl
    [ -z "$(helm list --all --short --namespace refused)" ] || fail "a refused install left a release"

    for file in "$chart"/ci/*-values.yaml; do release "$file"; done
}
