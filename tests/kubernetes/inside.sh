#!/usr/bin/env bash
# What check.sh runs in namespaces of its own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../components/common.sh"
: "${kubernetes:?check.sh runs this}" "${helm:?}" "${kafka:?}" "${work:?}" "${group:?}" "${node:?}"
cd "$repository"
export PATH=$kubernetes/bin:$helm/bin:$PATH
# Nothing of the user's own is read or written.
export HELM_CACHE_HOME=$work/helm/cache HELM_CONFIG_HOME=$work/helm/config HELM_DATA_HOME=$work/helm/data
. tests/kubernetes/cluster.sh
. tests/kubernetes/releases.sh
private_machine
say "control plane"
control_plane
releases
say "node"
node
kubectl get nodes -o wide
