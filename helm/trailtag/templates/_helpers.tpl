{{/* Names and labels. */}}

{{- define "trailtag.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A StatefulSet's pods get its name and a number, and their name is a label: 63 characters at most. */}}
{{- define "trailtag.fullname" -}}
{{- $name := include "trailtag.name" . }}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "trailtag.selector" -}}
app.kubernetes.io/name: {{ include "trailtag.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The selector of the service's own pods: those of tests and jobs have another component. */}}
{{- define "trailtag.service-selector" -}}
{{ include "trailtag.selector" . }}
app.kubernetes.io/component: service
{{- end }}

{{- define "trailtag.labels" -}}
{{ include "trailtag.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "trailtag.service-account" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "trailtag.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "trailtag.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "trailtag.port" -}}
{{- regexFind "[0-9]+$" .Values.config.http.listen }}
{{- end }}

{{/* http, or https where the pages have a certificate: the chart's or one that the user mounts. */}}
{{- define "trailtag.scheme" -}}
{{- if or .Values.secrets.httpTls.existingSecret .Values.config.http.tls.cert_file }}https{{ else }}http{{ end }}
{{- end }}

{{/* What a monitor has to know beside port and path. */}}
{{- define "trailtag.scrape" -}}
scheme: {{ include "trailtag.scheme" . }}
{{- if eq (include "trailtag.scheme" .) "https" }}
tlsConfig:
  serverName: {{ default (printf "%s.%s.svc" (include "trailtag.fullname" .) .Release.Namespace) .Values.monitoring.tls.serverName }}
  {{- if .Values.monitoring.tls.insecureSkipVerify }}
  insecureSkipVerify: true
  {{- end }}
  {{- with .Values.secrets.httpTls }}
  {{- if and .existingSecret .caKey (not $.Values.monitoring.tls.insecureSkipVerify) }}
  ca:
    secret: {name: {{ .existingSecret }}, key: {{ .caKey }}}
  {{- end }}
  {{- end }}
{{- end }}
{{- with .Values.secrets.httpToken }}
{{- if .existingSecret }}
authorization:
  credentials: {name: {{ .existingSecret }}, key: {{ .key }}}
{{- end }}
{{- end }}
{{- end }}
