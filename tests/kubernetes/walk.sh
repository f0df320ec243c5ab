# Follows docs/kubernetes.md to the letter; to be sourced by inside.sh.
# shellcheck shell=bash disable=SC2154 # inside.sh has the variables

page=$repository/docs/kubernetes.md
walked=()

# blocks LANGUAGE HEADING: what the fenced blocks below a heading hold, one after the other.
blocks() {
    awk -v fence="\`\`\`$1" -v heading="## $2" '
        /^## / { here = $0 == heading }
        inside && /^```$/ { inside = 0; next }
        inside && here { print }
        $0 == fence { inside = 1 }' "$page"
}

# The folder in which the page's commands are given: as a clone, and nothing is written into the real one.
prepare_walk() {
    cp -r "$repository/helm" "$repository/config" "$work/walk/"
    cp "$work/kafka/password.txt" "$work/walk/"
    cp "$work/kafka/ca.crt" "$work/walk/kafka-ca.crt"
    local heading
    while IFS= read -r heading; do
        # A block of YAML names its file in its first line.
        blocks yaml "$heading" | awk -v folder="$work/walk/" '/^# .*\.yaml$/ { file = folder $2 } { print >file }'
    done < <(sed -n 's/^## //p' "$page")
}

# What a person would look at next.
diagnose() {
    echo
    ours get pods --output wide 2>&1 || true
    ours get events --field-selector type=Warning --output 'custom-columns=OF:.involvedObject.name,WHAT:.message' 2>&1 | tail -n 10 || true
    ours get pods --output 'jsonpath={range .items[*].status.containerStatuses[*]}{.name}: {.state}{"\n"}{end}' 2>&1 | grep -v '"running"' || true
    local pod
    for pod in $(ours get pods --output name); do
        ours logs "$pod" --all-containers --prefix --tail=5 2>&1 || true
        ours logs "$pod" --all-containers --prefix --tail=5 --previous 2>&1 || true
    done
}

# walk HEADING: runs the commands below it as one script.
walk() {
    local commands
    commands=$(blocks shell "$1")
    [ -n "$commands" ] || fail "docs/kubernetes.md has no commands below \"$1\""
    say "docs/kubernetes.md: $1"
    (cd "$work/walk" && bash -euo pipefail -c "$commands") >"$work/log/walk" 2>&1 ||
        fail "docs/kubernetes.md, $1: $(tail -n 30 "$work/log/walk")$(diagnose)"
    if grep -n '^Warning:\|^W[0-9]* ' "$work/log/walk"; then fail "docs/kubernetes.md, $1: the API server warns"; fi
    walked+=("$1")
}

# Whoever adds commands to the page has them run here.
all_walked() {
    local heading
    while IFS= read -r heading; do
        [ -z "$(blocks shell "$heading")" ] || [[ " ${walked[*]/%/;} " == *" $heading; "* ]] ||
            fail "nobody runs the commands of docs/kubernetes.md below \"$heading\""
    done < <(sed -n 's/^## //p' "$page")
}
