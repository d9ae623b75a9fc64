{{- define "functions.labels" -}}
app.kubernetes.io/part-of: wildout-functions
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The environment of all runners. What is not set is not there. */}}
{{- define "functions.env" -}}
- name: WILDOUT_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.secretName }}, key: {{ .Values.database.secretKey }}}
- name: WILDOUT_SMTP_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.mail.secretName }}, key: {{ .Values.mail.secretKey }}}
- name: WILDOUT_SMTP_FROM
  {{- if .Values.mail.from }}
  value: {{ .Values.mail.from | quote }}
  {{- else }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.mail.secretName }}, key: from, optional: true}
  {{- end }}
{{- $settings := dict
  "WILDOUT_ENV_SITE_NAME" .Values.siteName
  "WILDOUT_ENV_ADMIN_EMAIL" .Values.adminEmail
  "WILDOUT_ENV_SECURITY_CONTACTS" (join "," .Values.alerts.contacts)
  "WILDOUT_ENV_SECURITY_WEBHOOK_URL" .Values.alerts.webhookURL
  "WILDOUT_ENV_SECURITY_WEBHOOK_SIGN" .Values.alerts.webhookSecret
  "WILDOUT_ENV_EVENTS_WEBHOOK_URL" .Values.listings.webhookURL
  "WILDOUT_ENV_EVENTS_WEBHOOK_SIGN" .Values.listings.webhookSecret
  "WILDOUT_SIGNING_SECRETS_DIR" (ternary "/etc/wildout-signing" "" (not (empty .Values.signing.secretName)))
  "SSL_CERT_DIR" (ternary "/etc/wildout-ca" "" (not (empty .Values.ca.configMapName)))
  "WILDOUT_HTTP_ALLOW_CIDRS" (join "," .Values.allowPrivateCIDRs) }}
{{- range $name, $value := $settings }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The files of all runners: what signs, and whom to trust. */}}
{{- define "functions.volumes" -}}
{{- with .Values.signing.secretName }}
- name: signing
  secret: {secretName: {{ . }}, optional: true}
{{- end }}
{{- with .Values.ca.configMapName }}
- name: ca
  configMap: {name: {{ . }}, optional: true}
{{- end }}
{{- end }}

{{- define "functions.volumeMounts" -}}
{{- if .Values.signing.secretName }}
- {name: signing, mountPath: /etc/wildout-signing, readOnly: true}
{{- end }}
{{- if .Values.ca.configMapName }}
- {name: ca, mountPath: /etc/wildout-ca, readOnly: true}
{{- end }}
{{- end }}
