#!/usr/bin/env bash
# Installs a Kubernetes of one node, in $TRAILTAG_COMPONENTS/kubernetes-VERSION-NUMBER, built from the Go module proxy.
# Prints that folder. Does nothing when it is there.
#   bin/  etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kubectl; containerd, its shim and ctr;
#         coredns, for the names of services; pause, what holds a pod's namespaces
# The first time takes some ten minutes on two cores.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

kubernetes=1.36.3
# The etcd that this Kubernetes has the client of.
etcd=3.6.8
containerd=2.4.2
coredns=1.14.0
# To be raised with every change below, since it names the folder.
number=1
home=$TRAILTAG_COMPONENTS/kubernetes-$kubernetes-$number
if [ -d "$home" ]; then
    echo "$home"
    exit 0
fi

"$repository/tests/components/packages.sh" test
command -v go >/dev/null ||
    fail "go is missing, with which Kubernetes is built. Install Go 1.21 or newer (https://go.dev/doc/install) and try again"
say "building Kubernetes $kubernetes, etcd $etcd, containerd $containerd and CoreDNS $coredns, once (some ten minutes)"
mkdir -p "$TRAILTAG_COMPONENTS"
started=$SECONDS
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
# -modcacherw lets the modules be removed again.
export GOMODCACHE=$part/build/mod GOCACHE=$part/build/cache CGO_ENABLED=0 GOFLAGS='-modcacherw -trimpath -buildvcs=false'
trap 'rm -rf "$part"' EXIT
mkdir -p "$part"/bin "$part"/build/{kubernetes,containerd,coredns}

# build NAME ARGUMENTS...: what the go.mod in the folder NAME says.
build() {
    local name=$1
    shift
    cd "$part/build/$name"
    retry go mod tidy >&2 || fail "the modules of $name could not be fetched"
    nice go build "$@" >&2 || fail "go build of $name failed"
}

source=$(retry go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
[ -f "$source/go.mod" ] || fail "the module proxy has no k8s.io/kubernetes v$kubernetes"
# Kubernetes' own libraries stand beside it in its repository; as modules they have its version with 0 for 1.
{
    printf 'module trailtag.test/kubernetes\n\ngo 1.26.0\n\n'
    for command in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do
        echo "tool k8s.io/kubernetes/cmd/$command"
    done
    echo 'tool go.etcd.io/etcd/server/v3'
    printf 'require k8s.io/kubernetes v%s\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$kubernetes" "$etcd"
    sed -n 's#^[[:space:]]*\(k8s\.io/[a-z-]*\) => \./staging.*#\1#p' "$source/go.mod" | while read -r module; do
        echo "replace $module => $module v0.${kubernetes#1.}"
    done
} >"$part/build/kubernetes/go.mod"
version=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"$kubernetes"
build kubernetes -o "$part/bin/" \
    -ldflags "-s -w -X $version.gitVersion=v$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor" tool
mv "$part/bin/server" "$part/bin/etcd"

cat >"$part/build/containerd/go.mod" <<MODULE
module trailtag.test/containerd

go 1.26.0

tool (
	github.com/containerd/containerd/v2/cmd/containerd
	github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
	github.com/containerd/containerd/v2/cmd/ctr
)

require github.com/containerd/containerd/v2 v$containerd
MODULE
build containerd -o "$part/bin/" -tags no_btrfs,no_zfs,no_devmapper \
    -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$containerd" tool

# Most plugins of CoreDNS bring the library of a cloud along; the names of services need three.
printf 'module trailtag.test/coredns\n\ngo 1.26.0\n\nrequire github.com/coredns/coredns v%s\n' "$coredns" >"$part/build/coredns/go.mod"
cat >"$part/build/coredns/main.go" <<'GO'
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	dnsserver.Directives = []string{"bind", "errors", "kubernetes"}
	coremain.Run()
}
GO
build coredns -o "$part/bin/coredns" -ldflags '-s -w' .

cc -Os -static -DVERSION="$kubernetes" -o "$part/bin/pause" "$source/build/pause/linux/pause.c" || fail "the pause program could not be compiled"

rm -rf "$part/build"
chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
say "Kubernetes was built in $((SECONDS - started)) s"
echo "$home"
