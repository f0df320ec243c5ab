{{/* The program's configuration, and what contradicts itself in it or around it. */}}

{{/* Where files of the user's are in the container. Whole ConfigMaps are mounted, never single keys by subPath: those would not
     change when the ConfigMap does. */}}
{{- define "trailtag.folder" -}}/etc/trailtag{{- end }}

{{/* Sets a path in the configuration to a mounted file, and refuses when the user has set it too.
     usage: include "trailtag.mounted" (dict "of" MAP "key" KEY "name" FULL-KEY "value" VALUE "by" VALUES-KEY) */}}
{{- define "trailtag.mounted" -}}
{{- if get .of .key }}
{{- fail (printf "%s and %s are both set, and mean the same: leave one of them empty" .by .name) }}
{{- end }}
{{- $_ := set .of .key .value }}
{{- end }}

{{- define "trailtag.config" -}}
{{- include "trailtag.contradictions" . }}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "workers" (include "trailtag.workers" . | int64) }}
{{- $_ := set $config.kafka "memory_budget" (include "trailtag.memory-budget" . | int64) }}
{{- /* It comes from the environment, where the pod's name is known. */}}
{{- $_ := unset $config.delivery "transactional_id_prefix" }}
{{- range $kind := list "client" "consumer" "producer" }}
{{- $text := dict }}
{{- range $property, $value := get $config.kafka $kind }}
{{- if kindIs "float64" $value }}{{ $value = int64 $value }}{{ end }}
{{- $_ := set $text $property (toString $value) }}
{{- end }}
{{- $_ := set $config.kafka $kind $text }}
{{- end }}
{{- $folder := include "trailtag.folder" . }}
{{- with .Values.files }}
{{- if .severity.configMap }}
{{- include "trailtag.mounted" (dict "of" $config.detection "key" "severity_file" "name" "config.detection.severity_file" "value" (printf "%s/severity/%s" $folder .severity.key) "by" "files.severity.configMap") }}
{{- end }}
{{- if .remediation.configMap }}
{{- include "trailtag.mounted" (dict "of" $config.remediation "key" "file" "name" "config.remediation.file" "value" (printf "%s/remediation/%s" $folder .remediation.key) "by" "files.remediation.configMap") }}
{{- end }}
{{- if .profilesInUse.configMap }}
{{- include "trailtag.mounted" (dict "of" $config.detection "key" "profiles_in_use_file" "name" "config.detection.profiles_in_use_file" "value" (printf "%s/profiles-in-use/%s" $folder .profilesInUse.key) "by" "files.profilesInUse.configMap") }}
{{- end }}
{{- if .awsNetworks.configMap }}
{{- include "trailtag.mounted" (dict "of" $config.detection "key" "aws_networks_file" "name" "config.detection.aws_networks_file" "value" (printf "%s/aws-networks/%s" $folder .awsNetworks.key) "by" "files.awsNetworks.configMap") }}
{{- end }}
{{- range $index, $_ := .rules }}
{{- $_ := set $config.detection "rules" (append $config.detection.rules (printf "%s/rules-%d" $folder $index)) }}
{{- end }}
{{- range $index, $list := .threatNetworks }}
{{- $_ := set $config.detection "threat_networks_files" (append $config.detection.threat_networks_files (printf "%s/threat-networks-%d/%s" $folder $index $list.key)) }}
{{- end }}
{{- end }}
{{- with .Values.secrets.tls }}
{{- if .existingSecret }}
{{- range $file, $key := dict "ca_file" .caKey "cert_file" .certKey "key_file" .keyKey }}
{{- if $key }}
{{- include "trailtag.mounted" (dict "of" $config.kafka.security.tls "key" $file "name" (printf "config.kafka.security.tls.%s" $file) "value" (printf "%s/tls/%s" $folder $key) "by" "secrets.tls.existingSecret") }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.secrets.httpTls }}
{{- if .existingSecret }}
{{- range $file, $key := dict "cert_file" .certKey "key_file" .keyKey }}
{{- include "trailtag.mounted" (dict "of" $config.http.tls "key" $file "name" (printf "config.http.tls.%s" $file) "value" (printf "%s/http-tls/%s" $folder $key) "by" "secrets.httpTls.existingSecret") }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.secrets.httpToken }}
{{- if .existingSecret }}
{{- include "trailtag.mounted" (dict "of" $config.http "key" "token_file" "name" "config.http.token_file" "value" (printf "%s/http-token/%s" $folder .key) "by" "secrets.httpToken.existingSecret") }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Nothing, or a failure that says what to set. */}}
{{- define "trailtag.contradictions" -}}
{{- $values := .Values }}
{{- $security := .Values.config.kafka.security }}
{{- $sasl := hasPrefix "sasl_" $security.protocol }}
{{- $tls := hasSuffix "ssl" $security.protocol }}
{{- if not .Values.config.kafka.bootstrap_servers }}
{{- fail "config.kafka.bootstrap_servers is empty: set it to your brokers, such as --set 'config.kafka.bootstrap_servers={kafka-0.kafka:9092,kafka-1.kafka:9092}'" }}
{{- end }}
{{- if .Values.config.delivery.transactional_id_prefix }}
{{- fail "config.delivery.transactional_id_prefix would be the same for every pod, and they would fence each other: set transactionalIdPrefix, to which the chart adds namespace and pod" }}
{{- end }}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\]):[0-9]+$" .Values.config.http.listen) }}
{{- fail (printf "config.http.listen: `%s` can't be reached from outside of the pod, so that its probes would fail: set 0.0.0.0:9598, or another port" .Values.config.http.listen) }}
{{- end }}
{{- with .Values.secrets.sasl }}
{{- if and .existingSecret (not $sasl) }}
{{- fail (printf "secrets.sasl.existingSecret is set, and config.kafka.security.protocol is %s, which knows no password: set the protocol to sasl_ssl, or leave the Secret empty" $security.protocol) }}
{{- end }}
{{- if and .existingSecret $security.sasl.password_file }}
{{- fail "secrets.sasl.existingSecret and config.kafka.security.sasl.password_file are both set: leave one of them empty" }}
{{- end }}
{{- if and .existingSecret .usernameKey $security.sasl.username }}
{{- fail "secrets.sasl.usernameKey and config.kafka.security.sasl.username are both set: leave one of them empty" }}
{{- end }}
{{- if and .usernameKey (not .existingSecret) }}
{{- fail "secrets.sasl.usernameKey is the key in a Secret that isn't named: set secrets.sasl.existingSecret" }}
{{- end }}
{{- if and $sasl (not .existingSecret) (not $security.sasl.password_file) (not $values.extraEnv) (not $values.extraEnvFrom) }}
{{- fail (printf "config.kafka.security.protocol is %s and there is no password: set secrets.sasl.existingSecret to a Secret that has it" $security.protocol) }}
{{- end }}
{{- if and $sasl (not .usernameKey) (not $security.sasl.username) (not $values.extraEnv) (not $values.extraEnvFrom) }}
{{- fail (printf "config.kafka.security.protocol is %s and there is no user: set config.kafka.security.sasl.username, or secrets.sasl.usernameKey" $security.protocol) }}
{{- end }}
{{- end }}
{{- with .Values.secrets.tls }}
{{- if and .existingSecret (not $tls) }}
{{- fail (printf "secrets.tls.existingSecret is set, and config.kafka.security.protocol is %s, which uses no certificates: set the protocol to ssl or sasl_ssl, or leave the Secret empty" $security.protocol) }}
{{- end }}
{{- if ne (empty .certKey) (empty .keyKey) }}
{{- fail "secrets.tls.certKey and secrets.tls.keyKey belong together: set both or none" }}
{{- end }}
{{- end }}
{{- if and .Values.config.http.token_file (or .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled) }}
{{- fail "config.http.token_file names a file that Prometheus cannot be told of, and its scrapes would be refused: set secrets.httpToken.existingSecret instead, or switch the monitor off and make one of your own" }}
{{- end }}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
{{- fail "autoscaling.enabled and keda.enabled are both true, and both would set the number of pods: set one of them to false" }}
{{- end }}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring.podMonitor.enabled and monitoring.serviceMonitor.enabled are both true, and everything would be counted twice: set one of them to false" }}
{{- end }}
{{- end }}
