{{/* What the service's pods and the test's have in common. */}}

{{/* The files that a container sees. */}}
{{- define "trailtag.volumes" -}}
- name: config
  configMap:
    name: {{ include "trailtag.fullname" . }}
{{- with .Values.files }}
{{- range $name, $map := dict "severity" .severity.configMap "remediation" .remediation.configMap "profiles-in-use" .profilesInUse.configMap "aws-networks" .awsNetworks.configMap }}
{{- if $map }}
- name: {{ $name }}
  configMap:
    name: {{ $map }}
{{- end }}
{{- end }}
{{- range $index, $map := .rules }}
- name: rules-{{ $index }}
  configMap:
    name: {{ $map }}
{{- end }}
{{- range $index, $list := .threatNetworks }}
- name: threat-networks-{{ $index }}
  configMap:
    name: {{ $list.configMap }}
{{- end }}
{{- end }}
{{- with .Values.secrets.tls }}
{{- if .existingSecret }}
- name: tls
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .existingSecret }}
          items:
            {{- range compact (list .caKey .certKey .keyKey) }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
{{- end }}
{{- end }}
{{- with .Values.secrets.httpTls }}
{{- if .existingSecret }}
- name: http-tls
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .existingSecret }}
          items:
            {{- range list .certKey .keyKey }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
{{- end }}
{{- end }}
{{- with .Values.secrets.httpToken }}
{{- if .existingSecret }}
- name: http-token
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .existingSecret }}
          items:
            - {key: {{ .key }}, path: {{ .key }}}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* usage: include "trailtag.mounts" $; every volume of the chart's has the name of its folder. */}}
{{- define "trailtag.mounts" -}}
{{- $folder := include "trailtag.folder" . }}
{{- $names := list "config" }}
{{- with .Values.files }}
{{- if .severity.configMap }}{{ $names = append $names "severity" }}{{ end }}
{{- if .remediation.configMap }}{{ $names = append $names "remediation" }}{{ end }}
{{- if .profilesInUse.configMap }}{{ $names = append $names "profiles-in-use" }}{{ end }}
{{- if .awsNetworks.configMap }}{{ $names = append $names "aws-networks" }}{{ end }}
{{- range $index, $_ := .rules }}{{ $names = append $names (printf "rules-%d" $index) }}{{ end }}
{{- range $index, $_ := .threatNetworks }}{{ $names = append $names (printf "threat-networks-%d" $index) }}{{ end }}
{{- end }}
{{- if .Values.secrets.tls.existingSecret }}{{ $names = append $names "tls" }}{{ end }}
{{- if .Values.secrets.httpTls.existingSecret }}{{ $names = append $names "http-tls" }}{{ end }}
{{- if .Values.secrets.httpToken.existingSecret }}{{ $names = append $names "http-token" }}{{ end }}
{{- range $index, $name := $names }}
{{- if $index }}{{ "\n" }}{{ end -}}
- {name: {{ $name }}, mountPath: {{ $folder }}/{{ $name }}, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The environment: what differs from pod to pod, and secrets. */}}
{{- define "trailtag.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: TRAILTAG__DELIVERY__TRANSACTIONAL_ID_PREFIX
  value: {{ default .Values.config.kafka.group_id .Values.transactionalIdPrefix }}-$(POD_NAMESPACE)-$(POD_NAME)
{{- with .Values.secrets.sasl }}
{{- if .existingSecret }}
- name: TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .passwordKey }}}
{{- if .usernameKey }}
- name: TRAILTAG__KAFKA__SECURITY__SASL__USERNAME
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .usernameKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
