# Starts the parts of a Kubernetes, each as its own process; to be sourced by inside.sh.
# shellcheck shell=bash disable=SC2154 # inside.sh has the variables

bin=$kubernetes/bin
export KUBECONFIG=$work/admin.kubeconfig

# until_true WHAT SECONDS COMMAND...: waits until COMMAND succeeds.
until_true() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >"$work/last" 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what: not within its time; last: $(tail -n 20 "$work/last")"
        sleep 0.2
    done
}

# run NAME COMMAND...: in the background, with a log of its own.
run() {
    local name=$1
    shift
    "$@" </dev/null >"$work/log/$name" 2>&1 &
}

# A mount here is seen by no one else. /run and /var take what the parts write there, and go with the namespace.
private_machine() {
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir "$work/var" "$work/var-work"
    mount -t overlay overlay -o "lowerdir=/var,upperdir=$work/var,workdir=$work/var-work" /var
    printf 'nameserver %s\n' "$node" >"$work/resolv.conf"
    mount --bind "$work/resolv.conf" /etc/resolv.conf
    ip link set lo up
    # Pods are at this bridge; so is everything of the node's that they ask.
    ip link add pods type bridge
    ip address add "$node/16" dev pods
    ip link set pods up
}

# kubeconfig NAME TOKEN
kubeconfig() {
    cat >"$work/$1.kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $work/kubernetes.crt}}]
users: [{name: $1, user: {token: "$2"}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
current-context: test
CONFIG
}

control_plane() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=kubernetes -addext 'subjectAltName=IP:127.0.0.1' \
        -keyout "$work/kubernetes.key" -out "$work/kubernetes.crt" 2>/dev/null
    local admin kubelet
    admin=$(openssl rand -hex 16)
    kubelet=$(openssl rand -hex 16)
    printf '%s,admin,admin,system:masters\n%s,system:node:node,node,system:nodes\n' "$admin" "$kubelet" >"$work/tokens.csv"
    kubeconfig admin "$admin"
    kubeconfig kubelet "$kubelet"

    run etcd "$bin/etcd" --data-dir "$work/etcd" --unsafe-no-fsync --log-level warn
    run apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 \
        --advertise-address="$node" --endpoint-reconciler-type=none --secure-port=6443 \
        --tls-cert-file="$work/kubernetes.crt" --tls-private-key-file="$work/kubernetes.key" \
        --token-auth-file="$work/tokens.csv" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --service-cluster-ip-range=10.97.0.0/24 --service-account-issuer=https://kubernetes.default.svc \
        --service-account-signing-key-file="$work/kubernetes.key" --service-account-key-file="$work/kubernetes.key" \
        --kubelet-preferred-address-types=InternalIP
    until_true "the API server" 120 kubectl get --raw /readyz
    run controller-manager "$bin/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
        --service-account-private-key-file="$work/kubernetes.key" --root-ca-file="$work/kubernetes.crt" --bind-address=127.0.0.1
    run scheduler "$bin/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1
}

node() {
    mkdir -p /run/cni "$work/cni"
    # Pods reach the node and one another, and nothing else: there is no route out.
    cat >"$work/cni/pods.conflist" <<CNI
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": false, "ipMasq": false,
 "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.96.0.0/16", "rangeStart": "10.96.1.1"}]]}}]}
CNI
    cat >"$work/containerd.toml" <<CONTAINERD
version = 3
root = "$work/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "trailtag.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  # Root may not be allowed to protect a process from the killer of memory.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$work/cni"
CONTAINERD
    PATH=$bin:$PATH run containerd "$bin/containerd" --config "$work/containerd.toml"
    until_true "containerd" 60 "$bin/ctr" version
    local archive
    for archive in "$work"/images/*.tar; do
        "$bin/ctr" --namespace k8s.io images import --no-unpack "$archive" >>"$work/log/images" 2>&1
    done
    "$bin/ctr" --namespace k8s.io images import --no-unpack --base-name docker.io/library/trailtag target/image/trailtag-*.oci.tar >>"$work/log/images" 2>&1

    local folder
    for folder in /sys/fs/cgroup/*/; do
        mkdir -p "$folder$group" 2>/dev/null || true
    done
    # With the first generation of control groups a child begins with no processors at all.
    if [ -f "/sys/fs/cgroup/cpuset/$group/cpuset.cpus" ]; then
        cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset/$group/cpuset.cpus"
        cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset/$group/cpuset.mems"
    fi
    # What a disk that others filled would evict is no business of this test. Changed ConfigMaps reach pods soon.
    cat >"$work/kubelet.yaml" <<KUBELET
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /$group
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [$node]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
syncFrequency: 5s
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%, imagefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
KUBELET
    PATH=$bin:$PATH run kubelet "$bin/kubelet" --config="$work/kubelet.yaml" --kubeconfig="$work/kubelet.kubeconfig" \
        --hostname-override=node --node-ip="$node" --root-dir="$work/kubelet"
    until_true "the node" 120 kubectl wait --for=condition=Ready node/node --timeout=5s

    cat >"$work/Corefile" <<CORE
cluster.local:53 {
    bind $node
    errors
    kubernetes {
        kubeconfig $KUBECONFIG
    }
}
CORE
    run coredns "$bin/coredns" -conf "$work/Corefile"
}
