{{/* Numbers that follow from others: workers, memory, seconds, replicas. */}}

{{/* A quantity of memory, in bytes. */}}
{{- define "trailtag.bytes" -}}
{{- $text := toString . }}
{{- if kindIs "float64" . }}{{ $text = int64 . | toString }}{{ end }}
{{- $unit := regexFind "[A-Za-z]*$" $text }}
{{- $factor := get (dict "" 1 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 "T" 1000000000000 "Ti" 1099511627776) $unit }}
{{- if not $factor }}
{{- fail (printf "resources.limits.memory: `%s` is no quantity of memory: write it as 256Mi or 1Gi" $text) }}
{{- end }}
{{- mulf (trimSuffix $unit $text | float64) $factor | int64 }}
{{- end }}

{{/* A quantity of cores, rounded up. */}}
{{- define "trailtag.cores" -}}
{{- $text := toString . }}
{{- if hasSuffix "m" $text }}
{{- divf (trimSuffix "m" $text | float64) 1000 | ceil | int64 }}
{{- else }}
{{- float64 $text | ceil | int64 }}
{{- end }}
{{- end }}

{{/* How many workers a pod has, as written into the configuration; 0 is one for each core of its node. */}}
{{- define "trailtag.workers" -}}
{{- $limits := default dict .Values.resources.limits }}
{{- $requests := default dict .Values.resources.requests }}
{{- if not (kindIs "invalid" .Values.config.workers) }}
{{- .Values.config.workers | int64 }}
{{- else }}
{{- include "trailtag.cores" (default (default 1 $requests.cpu) $limits.cpu) }}
{{- end }}
{{- end }}

{{/* What docs/performance.md says of memory, turned round. Half of what is left stays free for what the budget doesn't hold to
     the byte: responses that unpack to more, and the largest message. */}}
{{- define "trailtag.memory-budget" -}}
{{- $limit := (default dict .Values.resources.limits).memory }}
{{- if not (kindIs "invalid" .Values.config.kafka.memory_budget) }}
{{- $budget := .Values.config.kafka.memory_budget | int64 }}
{{- if $limit }}
{{- $bytes := include "trailtag.bytes" $limit | int64 }}
{{- if gt (add $budget 33554432) $bytes }}
{{- fail (printf "config.kafka.memory_budget: %d bytes and 32 MiB for the program itself are more than resources.limits.memory (%v): set the limit higher, or leave memory_budget unset, so that it follows from the limit" $budget $limit) }}
{{- end }}
{{- end }}
{{- $budget }}
{{- else if not $limit }}
{{- 67108864 }}
{{- else }}
{{- $budget := div (sub (include "trailtag.bytes" $limit | int64) 67108864) 2 }}
{{- if lt $budget 4194304 }}
{{- fail (printf "resources.limits.memory: %v is too little to work with: set 128Mi or more" $limit) }}
{{- end }}
{{- $budget }}
{{- end }}
{{- end }}

{{/* shutdown_grace in whole seconds, rounded up. */}}
{{- define "trailtag.grace" -}}
{{- $milliseconds := dict "ms" 1 "millis" 1 "msec" 1 "s" 1000 "sec" 1000 "secs" 1000 "second" 1000 "seconds" 1000 "m" 60000 "min" 60000 "mins" 60000 "minute" 60000 "minutes" 60000 "h" 3600000 "hr" 3600000 "hrs" 3600000 "hour" 3600000 "hours" 3600000 }}
{{- $total := 0 }}
{{- range regexFindAll "[0-9]+ *[^0-9 ]+" .Values.config.shutdown_grace -1 }}
{{- $unit := regexFind "[^0-9 ]+$" . }}
{{- if not (hasKey $milliseconds $unit) }}
{{- fail (printf "config.shutdown_grace: `%s`: write it in h, m, s or ms, such as 25s" $.Values.config.shutdown_grace) }}
{{- end }}
{{- $total = add $total (mul (regexFind "^[0-9]+" . | int64) (get $milliseconds $unit)) }}
{{- end }}
{{- divf $total 1000 | ceil | int64 }}
{{- end }}

{{/* The most replicas that have something to read: a partition has one reader, and each worker is one.
     usage: include "trailtag.most-replicas" (dict "root" $ "scaling" .Values.keda "name" "keda") */}}
{{- define "trailtag.most-replicas" -}}
{{- $partitions := .scaling.partitions | int64 }}
{{- if lt $partitions 1 }}
{{- fail (printf "%s.partitions: set how many partitions config.kafka.topics have together: more readers than that would idle" .name) }}
{{- end }}
{{- $workers := max 1 (include "trailtag.workers" .root | int64) }}
{{- $most := min (.scaling.maxReplicas | int64) (divf $partitions $workers | ceil | int64) }}
{{- if gt (.scaling.minReplicas | int64) $most }}
{{- fail (printf "%s.minReplicas: %d is more than the %d that can be: %d partitions make work for no more than that, with %d workers in a pod, and maxReplicas is %d" .name (.scaling.minReplicas | int64) $most $partitions $workers (.scaling.maxReplicas | int64)) }}
{{- end }}
{{- $most }}
{{- end }}
