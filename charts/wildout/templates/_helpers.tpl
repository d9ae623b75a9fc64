{{/* The names of objects begin with this. */}}
{{- define "wildout.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels by which the pods of a component are found. Call: list $ "gateway" */}}
{{- define "wildout.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: wildout-{{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{/* Labels that no upgrade of the chart changes. Call: list $ "gateway" */}}
{{- define "wildout.lastingLabels" -}}
{{ include "wildout.selector" . }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/part-of: wildout
{{- end }}

{{/* Labels of an object. Call: list $ "gateway" */}}
{{- define "wildout.labels" -}}
{{- $root := index . 0 -}}
{{ include "wildout.lastingLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The name of an image. Call: list $ "manager" */}}
{{- define "wildout.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- $name := printf "%s/%s:%s" $image.prefix (index . 1) (default $root.Chart.AppVersion $image.tag) -}}
{{- with get $image.digests (index . 1) -}}
{{- $name = printf "%s@%s" $name . -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* The metadata of the pods of a component. Call: list $ "gateway", or with the
name of the labels, where these are not "wildout.labels". */}}
{{- define "wildout.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $labels := ternary (last .) "wildout.labels" (gt (len .) 2) -}}
{{- with $root.Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- with $root.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include $labels . | nindent 2 }}
{{- end }}

{{/* What all pods have in their spec: within the restricted standard, and
placed as the values say. Call: list $ "gateway" */}}
{{- define "wildout.podSpec" -}}
{{- $root := index . 0 -}}
{{- $pods := $root.Values.pods -}}
securityContext:
  runAsNonRoot: true
  {{- with int $pods.user }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
enableServiceLinks: false
{{- include "wildout.placement" $root }}
{{- end }}

{{/* Where a pod is placed, and how its image is pulled. */}}
{{- define "wildout.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "nodeSelector" "affinity" "tolerations" }}
{{- with get $.Values.pods $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "wildout.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* How `wildout gateway` and `wildout console` find Redis. */}}
{{- define "wildout.redisEnv" -}}
- name: WILDOUT_NAMESPACE
  value: {{ .Release.Namespace }}
- name: WILDOUT_REDIS_URL_FILE
  value: /etc/wildout-redis/url
{{- if .Values.redis.ca }}
- name: WILDOUT_REDIS_CA_FILE
  value: /etc/wildout-redis/ca.crt
{{- end }}
{{- end }}

{{- define "wildout.redisVolume" -}}
- name: redis
  secret:
    secretName: {{ .Values.redis.secretName }}
    defaultMode: 0440
    items:
      - key: url
        path: url
      {{- if .Values.redis.ca }}
      - key: ca.crt
        path: ca.crt
      {{- end }}
{{- end }}

{{/* A NetworkPolicy lets pods of this chart and of functions out to all but the
addresses where clouds give credentials to whoever asks. */}}
{{- define "wildout.egress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- to:
    {{- if .Values.networkPolicy.linkLocal }}
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
    {{- else }}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128", "fe80::/10"]}
    {{- end }}
{{- end }}

{{/* Secrets with a text that nobody has given are made by a Job, once, before the
rest is installed: a text that came of rendering would be another one each time.
The arguments of the Job, as a list. */}}
{{- define "wildout.madeSecrets" -}}
{{- $name := include "wildout.fullname" . -}}
{{- $all := list -}}
{{- if and .Values.redis.embedded.enabled (not .Values.redis.embedded.password) -}}
{{- $all = append $all (printf "--redis=%s,%s-redis.%s.svc:6379" .Values.redis.secretName $name .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.gateway.defaultSender.enabled (not .Values.gateway.defaultSender.key) -}}
{{- $all = append $all (printf "--secret=%s-gateway-key,key" $name) -}}
{{- end -}}
{{- if and .Values.console.enabled (not .Values.console.token) (not (or .Values.console.tokensSecret .Values.console.trustedProxies)) -}}
{{- $all = append $all (printf "--secret=%s-console-tokens,tokens" $name) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Whether the operator may have cluster-wide rights. */}}
{{- define "wildout.clusterWide" -}}
{{- if and (eq .Values.scope "Cluster") (not .Values.manager.namespaces) }}true{{ end -}}
{{- end }}

{{/* The namespaces that the operator looks after, where these are not all. */}}
{{- define "wildout.namespaces" -}}
{{- toYaml (default (list .Release.Namespace) .Values.manager.namespaces | uniq | sortAlpha) -}}
{{- end }}
