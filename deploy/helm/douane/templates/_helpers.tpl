{{- define "douane.name" -}}
{{- if contains "douane" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-douane" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "douane.selector" -}}
app.kubernetes.io/name: douane
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "douane.labels" -}}
{{ include "douane.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "douane.secret" -}}
{{ .Values.secrets.existingSecret | default (include "douane.name" .) }}
{{- end }}

{{/* The pod of a part: a dict with root, part, command (a list), and resources. */}}
{{- define "douane.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "douane.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
  annotations:
    checksum/config: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
    checksum/secret: {{ toYaml $root.Values.secrets | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $root.Values.grace 30 }}
  {{- if eq $root.Values.sandbox.tier "full" }}
  hostUsers: false
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      {{- if eq $root.Values.sandbox.tier "full" }}
      type: Localhost
      localhostProfile: {{ $root.Values.sandbox.seccompProfile }}
      {{- else }}
      type: RuntimeDefault
      {{- end }}
  containers:
    - name: douane
      image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- toYaml .command | nindent 8 }}
      env:
        - name: PGSERVICEFILE
          value: /etc/douane/secrets/pg_service.conf
        {{- with $root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if eq .part "door" }}
      ports:
        - name: http
          containerPort: 9292
      # A database that is away makes a door not ready, and is no reason to start it again.
      readinessProbe:
        httpGet: {path: /healthcheck, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      livenessProbe:
        tcpSocket: {port: http}
        periodSeconds: 20
        failureThreshold: 6
      startupProbe:
        tcpSocket: {port: http}
        periodSeconds: 2
        failureThreshold: 60
      lifecycle:
        # Until all proxies know that this door ends.
        preStop:
          exec: {command: [/bin/sleep, "5"]}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
        {{- if eq $root.Values.sandbox.tier "full" }}
        procMount: Unmasked
        {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/douane/douane.toml, subPath: douane.toml, readOnly: true}
        - {name: secrets, mountPath: /etc/douane/secrets, readOnly: true}
        - {name: home, mountPath: /var/lib/douane}
        - {name: scratch, mountPath: /tmp}
        {{- if $root.Values.store.enabled }}
        - {name: store, mountPath: {{ $root.Values.store.mountPath }}}
        {{- end }}
        {{- with $root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "douane.name" $root }}}
    - name: secrets
      secret: {secretName: {{ include "douane.secret" $root }}, defaultMode: 0440}
    - name: home
      emptyDir: {}
    - name: scratch
      emptyDir: {sizeLimit: {{ $root.Values.scratch.size }}}
    {{- if $root.Values.store.enabled }}
    - name: store
      persistentVolumeClaim: {claimName: {{ $root.Values.store.existingClaim | default (include "douane.name" $root) }}}
    {{- end }}
    {{- with $root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "douane.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ .part }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The deployment of a part, and how many of its pods may be away: a dict as for douane.pod, with replicas. */}}
{{- define "douane.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "douane.name" $root }}-{{ .part }}
  labels:
    {{- include "douane.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
spec:
  replicas: {{ .replicas }}
  strategy:
    rollingUpdate: {maxUnavailable: {{ ternary 0 1 (eq .part "door") }}, maxSurge: 1}
  selector:
    matchLabels:
      {{- include "douane.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .part }}
  template:
    {{- include "douane.pod" . | nindent 4 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "douane.name" $root }}-{{ .part }}
  labels:
    {{- include "douane.labels" $root | nindent 4 }}
spec:
  maxUnavailable: {{ $root.Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "douane.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .part }}
{{- end }}
