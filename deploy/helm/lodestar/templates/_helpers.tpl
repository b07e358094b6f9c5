{{- define "lodestar.name" -}}
{{- if contains "lodestar" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-lodestar" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "lodestar.selector" -}}
app.kubernetes.io/name: lodestar
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lodestar.labels" -}}
{{ include "lodestar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* An image: by digest if there is one. */}}
{{- define "lodestar.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default (index . 1).Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "lodestar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "lodestar.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lodestar.redisSecret" -}}
{{ .Values.redis.existingSecret.name | default (printf "%s-redis" (include "lodestar.name" .)) }}
{{- end -}}

{{/* The environment of every pod. */}}
{{- define "lodestar.environment" -}}
- name: LODESTAR_REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ include "lodestar.redisSecret" . }}, key: {{ ternary .Values.redis.existingSecret.key "url" (ne .Values.redis.existingSecret.name "") }}}
- {name: LODESTAR_ARTIFACTS_URL, value: {{ .Values.artifacts.url | default "/data/artifacts" | quote }}}
{{- with .Values.otel.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := .Values.otel.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "lodestar.environmentFrom" -}}
{{- with .Values.environmentSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* Volumes and mounts that every pod has: /tmp, the catalog, pictures in a claim. */}}
{{- define "lodestar.hasCatalog" -}}
{{- if or .Values.catalog.toml .Values.catalog.existingConfigMap }}true{{ end -}}
{{- end -}}

{{- define "lodestar.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "lodestar.hasCatalog" . }}
- {name: catalog, mountPath: /srv/lodestar/models.toml, subPath: models.toml, readOnly: true}
{{- end }}
{{- if .Values.artifacts.claim }}
- {name: artifacts, mountPath: /data/artifacts}
{{- end }}
{{- end -}}

{{- define "lodestar.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- if include "lodestar.hasCatalog" . }}
- name: catalog
  configMap: {name: {{ .Values.catalog.existingConfigMap | default (printf "%s-catalog" (include "lodestar.name" .)) }}}
{{- end }}
{{- with .Values.artifacts.claim }}
- name: artifacts
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- end -}}

{{/* What the API is told of the pools: name=model,model;name=* */}}
{{- define "lodestar.pools" -}}
{{- range $i, $pool := .Values.pools }}{{ if $i }};{{ end }}{{ $pool.name }}={{ if $pool.models }}{{ join "," $pool.models }}{{ else }}*{{ end }}{{ end -}}
{{- end -}}

{{/* A pool with the defaults of values.yaml: a list in the values of an installation replaces the whole list. */}}
{{- define "lodestar.pool" -}}
{{- $defaults := dict "models" list "device" "cuda" "gpus" 1 "gpuResource" "nvidia.com/gpu" "replicas" 1 "min" 0 "max" 4 "drainS" 60 "graceS" 570 "startS" 1800 "resources" (dict) "env" (dict) "nodeSelector" (dict) "tolerations" list "runtimeClassName" "" "priorityClassName" "" -}}
{{- $merged := mustMergeOverwrite $defaults . -}}
{{- /* A merge takes 0 for nothing. */ -}}
{{- if hasKey . "graceS" }}{{ $merged = set $merged "graceS" .graceS }}{{ end -}}
{{- $merged | toYaml -}}
{{- end -}}

{{- define "lodestar.hosts" -}}
{{- $service := printf "%s-api" (include "lodestar.name" .) -}}
{{- $names := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s.svc.cluster.local" $service .Release.Namespace) -}}
{{- if .Values.api.ingress.host }}{{ $names = append $names .Values.api.ingress.host }}{{ end -}}
{{ concat $names .Values.api.allowedHosts | uniq | join "," }}
{{- end -}}
