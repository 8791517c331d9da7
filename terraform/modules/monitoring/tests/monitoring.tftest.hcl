mock_provider "google" {}

variables {
  project_id    = "example-prod"
  host          = "example.com"
  load_balancer = "edge"
  schedules     = { outboxrelay = 360, retention = 108000 }
  dead_letters  = "dead-letters"
  secrets_topic = "secrets-due"
  emails        = ["oncall@example.com"]
  runbooks      = "https://github.com/example/platform/blob/main/docs/runbooks"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.progress)) == toset(["outboxrelay", "retention"])
    error_message = "Each schedule is watched for silence."
  }
  assert {
    condition     = jsonencode(output.progress) == jsonencode({ outboxrelay = 360, retention = 108000 })
    error_message = "Silence is counted from its gap and its lateness."
  }
  assert {
    condition     = alltrue([for name, a in google_monitoring_alert_policy.progress : strcontains(a.conditions[0].condition_prometheus_query_language[0].query, "{monitored_resource=\"cloud_run_revision\",service_name=\"${name}\",response_code=\"200\"}")])
    error_message = "A run that failed is no progress."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.undelivered.conditions[0].condition_threshold[0].filter, "subscription_id=\"dead-letters\"")
    error_message = "Dead letters are told of."
  }
  assert {
    condition     = contains(keys(google_monitoring_alert_policy.log), "dead-letter") && contains(keys(google_monitoring_alert_policy.log), "schedule-late") && contains(keys(google_monitoring_alert_policy.log), "stripe-event")
    error_message = "What the platform gave up, and what is late, is told of."
  }
  assert {
    condition     = google_logging_metric.this["dead-letter"].filter == "resource.type=\"cloud_run_revision\" AND severity>=ERROR AND jsonPayload.result=\"dead\""
    error_message = "A dead letter is the line that the worker writes."
  }
  assert {
    condition     = alltrue([for a in concat(values(google_monitoring_alert_policy.log), values(google_monitoring_alert_policy.progress), [google_monitoring_alert_policy.undelivered, google_monitoring_alert_policy.secrets, google_monitoring_alert_policy.redis_memory]) : strcontains(a.documentation[0].content, "https://github.com/example/platform/blob/main/docs/runbooks/")])
    error_message = "Every alert links its runbook."
  }
  assert {
    condition     = google_monitoring_slo.availability.goal == 0.999 && google_monitoring_slo.availability.rolling_period_days == 28
    error_message = "Three nines over four weeks."
  }
  assert {
    condition     = google_monitoring_slo.latency.request_based_sli[0].distribution_cut[0].range[0].max == 500
    error_message = "Half a second."
  }
  assert {
    condition     = alltrue([for c in google_monitoring_uptime_check_config.this : c.http_check[0].use_ssl && c.http_check[0].validate_ssl])
    error_message = "Checks from outside go by TLS and look at the certificate."
  }
  assert {
    condition     = toset([for c in google_monitoring_uptime_check_config.this : c.http_check[0].path]) == toset(["/health/", "/livez", "/.well-known/jwks.json"])
    error_message = "Health, life and keys are asked for."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.platform.dashboard_json).mosaicLayout.tiles) == 6
    error_message = "The dashboard is there."
  }
}

run "refuses_a_window_of_less_than_the_delay" {
  command = plan
  variables { schedules = { outboxrelay = 120 } }
  expect_failures = [var.schedules]
}

run "burn" {
  assert {
    condition     = toset(keys(google_monitoring_alert_policy.burn)) == toset(["availability-fast", "availability-slow", "latency-fast", "latency-slow"])
    error_message = "Each objective burns fast or slowly."
  }
  assert {
    condition     = google_monitoring_alert_policy.burn["availability-fast"].conditions[0].condition_threshold[0].threshold_value == 14.4 && length(google_monitoring_alert_policy.burn["availability-fast"].conditions) == 2
    error_message = "Two windows, at 14.4."
  }
  assert {
    condition     = google_monitoring_alert_policy.burn["latency-slow"].combiner == "AND"
    error_message = "Both windows must agree."
  }
  assert {
    condition     = alltrue([for a in concat(values(google_monitoring_alert_policy.burn), values(google_monitoring_alert_policy.uptime)) : strcontains(a.documentation[0].content, "/docs/runbooks/") && length(a.notification_channels) == 1])
    error_message = "Somebody is told, and what to do."
  }
}

run "refuses_nobody" {
  command = plan
  variables { emails = [] }
  expect_failures = [var.emails]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id    = "X"
    host          = "https://example.com"
    load_balancer = "Edge/1"
    dead_letters  = "projects/example/subscriptions/dead"
    secrets_topic = "projects/example/topics/due"
    latency_ms    = 0.5
    latency_goal  = 95
  }
  expect_failures = [var.project_id, var.host, var.load_balancer, var.dead_letters, var.secrets_topic, var.latency_ms, var.latency_goal]
}
