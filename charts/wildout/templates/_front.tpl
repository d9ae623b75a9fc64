{{/* What the gateway and the console have in common: they are called from
outside on the port "events" or "pages". Each takes: list $ "gateway" */}}

{{- define "wildout.frontPort" -}}
{{ ternary "events" "pages" (eq (index . 1) "gateway") }}
{{- end }}

{{- define "wildout.service" -}}
{{- $root := index . 0 -}}
{{- $front := get $root.Values (index . 1) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "wildout.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "wildout.labels" . | nindent 4 }}
  {{- with $front.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $front.service.type }}
  ports:
    - name: {{ include "wildout.frontPort" . }}
      port: {{ $front.service.port }}
      targetPort: {{ include "wildout.frontPort" . }}
      appProtocol: {{ if $front.tlsSecretName }}https{{ else }}http{{ end }}
  selector:
    {{- include "wildout.selector" . | nindent 4 }}
{{- end }}

{{- define "wildout.frontProbes" -}}
readinessProbe:
  httpGet: {path: /readyz, port: probes}
  periodSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: probes}
  periodSeconds: 10
  failureThreshold: 6
{{- end }}

{{- define "wildout.frontPolicy" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "wildout.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "wildout.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "wildout.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - {port: {{ include "wildout.frontPort" . }}, protocol: TCP}
      {{- with (get $root.Values (index . 1)).allowFrom }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    - ports:
        - {port: probes, protocol: TCP}
  egress:
    {{- include "wildout.egress" $root | nindent 4 }}
{{- end }}
{{- end }}
