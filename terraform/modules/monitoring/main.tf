# What is looked at, and who is told. Every alert carries the address of the page
# that says what to do.

locals {
  runbook = { for name, page in {
    router = "router-503.md", database = "database.md", redis = "redis.md", keys = "key-rotation.md", callers = "refused-calls.md", schedules = "schedules.md", jobs = "dead-letters.md", usage = "usage.md", billing = "billing.md", hydra = "hydra.md"
  } : name => "${var.runbooks}/${page}" }

  # What is asked from outside, without a token.
  checks = merge(
    { for name, path in { health = "/health/", live = "/livez", keys = "/.well-known/jwks.json" } : name => { host = var.host, path = path, runbook = "router" } },
    { for host in compact([var.oauth_host]) : "oauth" => { host = host, path = "/.well-known/openid-configuration", runbook = "hydra" } },
  )

  # Lines of the platform's log that are events.
  log_metrics = {
    schedule-late = { why = "A schedule began later than it may, or left out runs", filter = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=\"schedule late\"", runbook = "schedules" }
    schedule-fail = { why = "A run of a schedule failed", filter = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=\"schedule\" AND severity>=ERROR", runbook = "schedules" }
    dead-letter   = { why = "A message was given up", filter = "resource.type=\"cloud_run_revision\" AND severity>=ERROR AND jsonPayload.result=\"dead\"", runbook = "jobs" }
    usage-differs = { why = "Usage does not agree with Stripe", filter = "resource.type=\"cloud_run_revision\" AND severity>=ERROR AND (jsonPayload.message=\"usage differs from Stripe\" OR jsonPayload.message=\"usage was refused by Stripe\")", runbook = "usage" }
    function-down = { why = "A function does not answer the router", filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"router\" AND jsonPayload.message:\"function does not answer\"", runbook = "router" }
    redis-down    = { why = "Redis does not answer", filter = "resource.type=\"cloud_run_revision\" AND jsonPayload.message:\"redis does not answer\"", runbook = "redis" }
    stripe-event  = { why = "An event of Stripe names a customer whom nobody has claimed, for three days", filter = "resource.type=\"cloud_run_revision\" AND severity>=ERROR AND jsonPayload.message:\"an event of Stripe names a customer whom nobody has claimed\"", runbook = "billing" }
    forged-hop    = { why = "Somebody calls functions who may not", filter = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=(\"call refused\" OR \"delivery refused\")", runbook = "callers" }
  }

  # A burn rate of 14.4 uses 2 % of a month's budget in an hour, of 6, 5 % in six.
  # Source: sre.google/workbook/alerting-on-slos.
  burns = {
    fast = { rate = 14.4, long = "3600s", short = "300s", severity = "CRITICAL" }
    slow = { rate = 6, long = "21600s", short = "1800s", severity = "ERROR" }
  }

  slos = {
    availability = google_monitoring_slo.availability.id
    latency      = google_monitoring_slo.latency.id
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.emails)

  project      = var.project_id
  display_name = each.value
  type         = "email"
  labels       = { email_address = each.value }
}

# Lines that are counted for their absence to be noticed (data.tf).
resource "google_logging_metric" "done" {
  for_each = local.done

  project     = var.project_id
  name        = "platform/${each.key}"
  description = each.value.why
  filter      = each.value.filter

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  project     = var.project_id
  name        = "platform/${each.key}"
  description = each.value.why
  filter      = each.value.filter

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key        = "function"
      value_type = "STRING"
    }
  }

  label_extractors = {
    function = "EXTRACT(resource.labels.service_name)"
  }
}

resource "google_monitoring_alert_policy" "log" {
  for_each = local.log_metrics

  project               = var.project_id
  display_name          = each.value.why
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = "ERROR"

  conditions {
    display_name = each.value.why
    condition_threshold {
      filter          = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.this[each.key].name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["metric.label.function"]
      }
    }
  }

  documentation {
    content   = "${each.value.why}. What to do: ${local.runbook[each.value.runbook]}"
    mime_type = "text/markdown"
  }
}

# Forward progress: each schedule must be answered 200 within its longest gap and
# its allowed lateness. Silence is what no error tells. condition_absent looks back
# 23.5 hours at most, less than a day between two runs; PromQL's window has no such
# limit. Source: docs.cloud.google.com/monitoring/alerts/using-promql. Not 2xx: the
# liveness probe is answered 204.
resource "google_monitoring_alert_policy" "progress" {
  for_each = var.schedules

  project               = var.project_id
  display_name          = "${each.key} has not run"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = "ERROR"

  conditions {
    display_name = "No successful run of ${each.key} in ${each.value} s"
    condition_prometheus_query_language {
      query               = "absent_over_time(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=\"${each.key}\",response_code=\"200\"}[${each.value}s])"
      duration            = "0s"
      evaluation_interval = "60s"
    }
  }

  documentation {
    content   = "${each.key} has not run for ${each.value} s. What to do: ${local.runbook.schedules}"
    mime_type = "text/markdown"
  }
}

# What Pub/Sub could not deliver.
resource "google_monitoring_alert_policy" "undelivered" {
  project               = var.project_id
  display_name          = "Messages wait as dead letters"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = "ERROR"

  conditions {
    display_name = "A message is on ${var.dead_letters}"
    condition_threshold {
      filter          = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${var.dead_letters}\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "Pub/Sub gave up on a message. What to do: ${local.runbook.jobs}"
    mime_type = "text/markdown"
  }
}

# Secrets that only people can renew are announced to people.
resource "google_monitoring_alert_policy" "secrets" {
  project               = var.project_id
  display_name          = "A secret is due"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = "WARNING"

  conditions {
    display_name = "Secret Manager announced a secret"
    condition_threshold {
      filter          = "resource.type=\"pubsub_topic\" AND resource.labels.topic_id=\"${var.secrets_topic}\" AND metric.type=\"pubsub.googleapis.com/topic/send_message_operation_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_SUM"
      }
    }
  }

  documentation {
    content   = "A secret is 90 days old. What to do: ${local.runbook.keys}"
    mime_type = "text/markdown"
  }
}

# What grows or fails in the stores (data.tf), by figures of Google's own.
resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.thresholds

  project               = var.project_id
  display_name          = each.value.why
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = each.value.severity

  conditions {
    display_name = each.value.why
    condition_threshold {
      filter          = "resource.type=\"${local.metrics[each.value.metric]}\" AND metric.type=\"${each.value.metric}\""
      comparison      = can(each.value.below) ? "COMPARISON_LT" : "COMPARISON_GT"
      threshold_value = try(each.value.below, each.value.above)
      duration        = each.value.for
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = try(each.value.by, [])
      }
    }
  }

  documentation {
    content   = "${each.value.why}. What to do: ${local.runbook[each.value.runbook]}#${each.value.section}"
    mime_type = "text/markdown"
  }
}

# The same, where several figures are set against each other, or silence is meant.
# What has not been emitted yet has no description, which a policy could be held to.
resource "google_monitoring_alert_policy" "query" {
  for_each = local.queries

  project               = var.project_id
  display_name          = each.value.why
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = each.value.severity

  conditions {
    display_name = each.value.why
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = each.value.for
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content   = "${each.value.why}. What to do: ${local.runbook[each.value.runbook]}#${each.value.section}"
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_custom_service" "api" {
  project      = var.project_id
  service_id   = "api"
  display_name = "The API at the edge"
}

resource "google_monitoring_slo" "availability" {
  project             = var.project_id
  service             = google_monitoring_custom_service.api.service_id
  slo_id              = "availability"
  display_name        = "${var.availability * 100} % of requests are answered without a fault of ours"
  goal                = var.availability
  rolling_period_days = 28

  request_based_sli {
    good_total_ratio {
      total_service_filter = "resource.type=\"https_lb_rule\" AND resource.labels.url_map_name=\"${var.load_balancer}\" AND metric.type=\"loadbalancing.googleapis.com/https/request_count\""
      bad_service_filter   = "resource.type=\"https_lb_rule\" AND resource.labels.url_map_name=\"${var.load_balancer}\" AND metric.type=\"loadbalancing.googleapis.com/https/request_count\" AND metric.labels.response_code_class=\"500\""
    }
  }
}

resource "google_monitoring_slo" "latency" {
  project             = var.project_id
  service             = google_monitoring_custom_service.api.service_id
  slo_id              = "latency"
  display_name        = "${var.latency_goal * 100} % of requests are answered within ${var.latency_ms} ms"
  goal                = var.latency_goal
  rolling_period_days = 28

  request_based_sli {
    distribution_cut {
      distribution_filter = "resource.type=\"https_lb_rule\" AND resource.labels.url_map_name=\"${var.load_balancer}\" AND metric.type=\"loadbalancing.googleapis.com/https/total_latencies\""
      range {
        min = 0
        max = var.latency_ms
      }
    }
  }
}

resource "google_monitoring_alert_policy" "burn" {
  for_each = merge([for slo, id in local.slos : { for speed, b in local.burns : "${slo}-${speed}" => merge(b, { slo = slo, id = id }) }]...)

  project               = var.project_id
  display_name          = "The error budget of ${each.value.slo} burns ${each.value.rate} times too fast"
  combiner              = "AND"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = each.value.severity

  # The long window says that it matters, the short one that it still goes on.
  dynamic "conditions" {
    for_each = [each.value.long, each.value.short]
    content {
      display_name = "Over ${conditions.value}"
      condition_threshold {
        filter          = "select_slo_burn_rate(\"${each.value.id}\", \"${conditions.value}\")"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.rate
        duration        = "0s"
      }
    }
  }

  documentation {
    content   = "What to do: ${local.runbook.router}"
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_uptime_check_config" "this" {
  for_each = local.checks

  project      = var.project_id
  display_name = "https://${each.value.host}${each.value.path}"
  timeout      = "10s"
  period       = "60s"

  http_check {
    path         = each.value.path
    port         = 443
    use_ssl      = true
    validate_ssl = true
    accepted_response_status_codes {
      status_class = "STATUS_CLASS_2XX"
    }
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project_id, host = each.value.host }
  }
}

resource "google_monitoring_alert_policy" "uptime" {
  for_each = local.checks

  project               = var.project_id
  display_name          = "${google_monitoring_uptime_check_config.this[each.key].display_name} does not answer"
  combiner              = "OR"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]
  severity              = "CRITICAL"

  conditions {
    display_name = "From two places"
    condition_threshold {
      filter          = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.this[each.key].uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "60s"
      aggregations {
        alignment_period     = "120s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    content   = "What to do: ${local.runbook[each.value.runbook]}"
    mime_type = "text/markdown"
  }
}
