#!/usr/bin/env bash
# Installs the chart in a real Kubernetes of one node, on this machine: API server, controllers, scheduler, kubelet, containerd,
# runc, CoreDNS; against a real Kafka that wants TLS and a password. See inside.sh for what is tried.
# All of it lives in namespaces of its own (network, mounts, processes). No port of this machine is used, and all of it
# ends with this script, however that ends.
# usage: check.sh [BINARY]      BINARY is a static binary that was built already, for the image
# KEEP=FOLDER keeps the logs there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../components/common.sh"
cd "$repository"

[ "$(id -u)" = 0 ] || fail "a kubelet makes containers, for which it has to be root: run it as root"
tests/components/packages.sh kubernetes
unshare --mount --net --pid --fork true ||
    fail "this system lets nobody make namespaces, so that no container can run here: run it in a virtual machine, or in a privileged container"
kubernetes=$(tests/components/kubernetes.sh)
helm=$(tests/components/helm.sh)
kafka=$(tests/components/kafka.sh)
packaging/image.sh "$@"
trailtag=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/$(uname -m)-unknown-linux-musl/release/trailtag}")

work=$(mktemp -d)
group=trailtag-test-$$
# Processes are gone with their namespace. Their control groups are not.
# shellcheck disable=SC2329 # the trap calls it
clean() {
    local status=$?
    [ "$status" = 0 ] || tail -n 4 "$work"/log/* >&2 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then cp -r "$work/log" "$KEEP"; fi
    find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
mkdir "$work/log" "$work/images" "$work/walk"

# image NAME FILE: writes images/FILE.tar of what is in the folder rootfs/FILE.
image() {
    local container
    container=$("${buildah[@]}" from scratch)
    "${buildah[@]}" copy --quiet "$container" "$work/rootfs/$2" / >/dev/null
    "${buildah[@]}" config --entrypoint "${3:-[]}" "$container"
    "${buildah[@]}" commit --quiet "$container" "$1" >/dev/null
    "${buildah[@]}" push --quiet "$1" "docker-archive:$work/images/$2.tar:$1" >/dev/null
}
# programs FILE PROGRAM...: puts programs of this system, and what they are linked with, into rootfs/FILE.
programs() {
    local root=$work/rootfs/$1 program library
    shift
    for program in "$@"; do
        install -D "$(command -v "$program")" "$root/bin/$program"
        ldd "$root/bin/$program" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | while read -r library; do
            install -D "$library" "$root$library"
        done
    done
}
say "images of the test's own: what holds a pod's namespaces, wget, and Kafka's tools"
buildah=(buildah --root "$work/buildah" --runroot "$work/buildah-run" --storage-driver vfs)
install -D "$kubernetes/bin/pause" "$work/rootfs/pause/pause"
image trailtag.test/pause:1 pause '["/pause"]'
# No registry is asked: this is the system's wget under the name that the chart asks for.
programs wget wget
image docker.io/library/busybox:1.37 wget
# And this system's Java with Kafka's jars, under the name that the topic Job asks for.
java=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p')
mkdir -p "$work/rootfs/kafka/java" "$work/rootfs/kafka/opt/kafka/bin"
# Links that lead nowhere stay behind.
(cd "$java" && find -L . -type f -print0 | tar --create --dereference --null --files-from - --file -) | tar --extract --file - --directory "$work/rootfs/kafka/java"
cp -r "$kafka/libs" "$work/rootfs/kafka/opt/kafka/"
programs kafka sh
find "$work/rootfs/kafka/java" -name '*.so' -print0 | xargs -0 ldd 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) (0x.*/\1/p' | sort -u | while read -r library; do
    case $library in "$work"/*) ;; *) install -D "$library" "$work/rootfs/kafka$library" ;; esac
done
cat >"$work/rootfs/kafka/opt/kafka/bin/kafka-topics.sh" <<'TOPICS'
#!/bin/sh
exec /java/bin/java -cp '/opt/kafka/libs/*' org.apache.kafka.tools.TopicCommand "$@"
TOPICS
chmod 755 "$work/rootfs/kafka/opt/kafka/bin/kafka-topics.sh"
image docker.io/apache/kafka:4.3.1 kafka
rm -rf "$work/rootfs"

export kubernetes helm kafka trailtag work group
# The network of the node: nothing outside of the namespace sees it.
export node=10.96.0.1
unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private tests/kubernetes/inside.sh
