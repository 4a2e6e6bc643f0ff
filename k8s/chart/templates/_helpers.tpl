{{- define "node.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "node.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "node.name" .) .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "node.name" .) | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* The labels that selectors use, of a component: (list $ "run"). They never change, for a Deployment's selector cannot. */}}
{{- define "node.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "node.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "node.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "node.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end }}

{{- define "node.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ required "set image.digest to the digest of the image (sha256:..., printed by docker push), or image.tag on a machine of your own" .Values.image.tag }}
{{- end -}}
{{- end }}

{{/* What the Pod Security Standard "restricted" asks of a pod, and of a container. */}}
{{- define "node.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "node.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{/* Settings of a program: (dict "env" .. "secret" .. "at" folder). Secrets are files, so nothing secret is in the environment. */}}
{{- define "node.env" -}}
{{- range $name, $key := .secret.files }}
- name: {{ $name }}
  value: {{ $.at }}/{{ $key }}
{{- end }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* A volume with the keys of a secret that are asked for: one that is missing keeps the pod from starting, by its name. */}}
{{- define "node.secretVolume" -}}
secret:
  secretName: {{ .secret.name }}
  defaultMode: 0440
  items:
    {{- range (concat (values .secret.files) (.more | default list)) | uniq | sortAlpha }}
    - { key: {{ . }}, path: {{ . }} }
    {{- end }}
{{- end }}

{{/* Spread over zones and machines: (list $ "run" "Deployment"). */}}
{{- define "node.spread" -}}
{{- $root := index . 0 }}
{{- $component := slice . 0 2 }}
{{- $version := ternary "controller-revision-hash" "pod-template-hash" (eq (index . 2) "StatefulSet") }}
{{- range $key, $action := dict "topology.kubernetes.io/zone" $root.Values.topologySpread.zone "kubernetes.io/hostname" $root.Values.topologySpread.host }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $action }}
  labelSelector:
    matchLabels:
      {{- include "node.selector" $component | nindent 6 }}
  # Counts the pods of one version only: those that are about to end do not push the new ones aside.
  matchLabelKeys: [{{ $version }}]
{{- end }}
{{- end }}

{{/* Where a pod may run: the values of its component. */}}
{{- define "node.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The container that migrates, of a Job or of a node's pod. */}}
{{- define "node.migrateContainer" -}}
- name: migrate
  image: {{ include "node.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: ["migrate"]
  # The last lines of the log, which say why it has ended, are in `kubectl describe pod`.
  terminationMessagePolicy: FallbackToLogsOnError
  env:
    {{- include "node.env" (dict "env" .Values.migrate.env "secret" .Values.migrate.secret "at" "/run/secrets/ingest-node-migrate") | trim | nindent 4 }}
  securityContext:
    {{- include "node.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .Values.migrate.resources | nindent 4 }}
  volumeMounts:
    - { name: migrate-secrets, mountPath: /run/secrets/ingest-node-migrate, readOnly: true }
{{- end }}

{{/* Peers of a rule: (list "networkPolicy.adminFrom" peers). To Kubernetes an empty list of them is everybody. */}}
{{- define "node.peers" -}}
{{- if not (index . 1) }}{{ fail (printf "%s is empty: a rule without peers would be for everybody" (index . 0)) }}{{ end }}
{{- toYaml (index . 1) }}
{{- end }}

{{/* Rules of egress to the servers that are named: (list $ "dns" "nats"). */}}
{{- define "node.egress" -}}
{{- $root := index . 0 }}
{{- range rest . }}
{{- $peer := index $root.Values.networkPolicy.egress . }}
# {{ . }}
- to:
    {{- include "node.peers" (list (printf "networkPolicy.egress.%s.to" .) $peer.to) | nindent 4 }}
  ports:
    {{- if eq . "dns" }}
    - { port: {{ $peer.port }}, protocol: UDP }
    {{- end }}
    - { port: {{ $peer.port }}, protocol: TCP }
{{- end }}
{{- end }}

{{/* "true" where nodes read what MQTT clients of nats-server publish: NATS_MQTT, else nats.mqtt of the file. */}}
{{- define "node.natsMqtt" -}}
{{- $variable := get .Values.run.env "NATS_MQTT" | toString | trim | lower }}
{{- if $variable }}
{{- if has $variable (list "1" "true") }}true{{ end }}
{{- else if regexMatch "(?m)^[ \t]*(\\[[ \t]*nats[ \t]*\\][^\n]*\n([ \t]*([^[ \t\n][^\n]*)?\n)*[ \t]*mqtt|nats[ \t]*[.][ \t]*mqtt)[ \t]*=[ \t]*true\\b" .Values.run.config }}
{{- "true" }}
{{- end }}
{{- end }}

{{/* The file of the nodes: what is given, and below it for how long data is kept. */}}
{{- define "node.runConfig" -}}
{{- $retention := .Values.run.retention }}
{{- .Values.run.config | trim }}
{{- if or $retention.rawEventsDays $retention.quarantineDays $retention.readerIndex }}
{{- if regexMatch "(?m)^[ \t]*\\[[ \t]*retention[ \t]*\\]" .Values.run.config }}
{{- fail "run.retention is set, and run.config has a table [retention]: say it in one of them" }}
{{- end }}

[retention]
{{- with $retention.rawEventsDays }}
raw_events_days = {{ int . }}
{{- end }}
{{- with $retention.quarantineDays }}
quarantine_days = {{ int . }}
{{- end }}
{{- if $retention.readerIndex }}
reader_index = true
{{- end }}
{{- end }}
{{- end }}
