mock_provider "google" {}

variables {
  project_id    = "example-prod"
  host          = "example.com"
  load_balancer = "edge"
  schedules     = { outboxrelay = 360, retention = 108000 }
  dead_letters  = "dead-letters"
  secrets_topic = "secrets-due"
  sql           = { disk_limit_gb = 2000, max_connections = 400, highly_available = true }
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
    condition     = alltrue([for a in concat(values(google_monitoring_alert_policy.log), values(google_monitoring_alert_policy.progress), [google_monitoring_alert_policy.undelivered, google_monitoring_alert_policy.secrets], values(google_monitoring_alert_policy.threshold), values(google_monitoring_alert_policy.query)) : strcontains(a.documentation[0].content, "https://github.com/example/platform/blob/main/docs/runbooks/")])
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
    condition     = length(google_monitoring_alert_policy.uptime) == 3
    error_message = "Hydra is asked for where it is reached."
  }
  assert {
    condition     = output.alerts == sort(concat(keys(google_monitoring_alert_policy.threshold), keys(google_monitoring_alert_policy.query))) && length(setsubtract(["sql-down", "sql-disk", "sql-processor", "sql-connections", "sql-wraparound", "sql-archive", "sql-standby", "sql-backup", "redis-memory", "redis-system"], output.alerts)) == 0
    error_message = "Stores are watched: that they are up, have room, connections and transaction ids, and are backed up."
  }
  assert {
    condition     = google_monitoring_alert_policy.threshold["sql-disk"].conditions[0].condition_threshold[0].threshold_value == 1825361100800
    error_message = "Somebody is told at 85 % of what the disk may grow to."
  }
  assert {
    condition     = google_monitoring_alert_policy.threshold["sql-connections"].conditions[0].condition_threshold[0].threshold_value == 320 && google_monitoring_alert_policy.threshold["sql-connections"].conditions[0].condition_threshold[0].aggregations[0].cross_series_reducer == "REDUCE_SUM"
    error_message = "Somebody is told at 80 % of all connections, those of every database."
  }
  assert {
    condition     = alltrue([for name in ["sql-down", "sql-standby"] : google_monitoring_alert_policy.threshold[name].conditions[0].condition_threshold[0].comparison == "COMPARISON_LT" && google_monitoring_alert_policy.threshold[name].conditions[0].condition_threshold[0].threshold_value == 1])
    error_message = "What is down is below one."
  }
  assert {
    condition     = google_monitoring_alert_policy.threshold["redis-memory"].conditions[0].condition_threshold[0].threshold_value == 0.85
    error_message = "Redis is told of before it evicts."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.query["sql-backup"].conditions[0].condition_prometheus_query_language[0].query, "absent(sum(increase(logging_googleapis_com:user_${replace(google_logging_metric.done["sql-backup"].name, "/[^a-z]/", "_")}{")
    error_message = "The absence of a backup is told of, as its log counts them."
  }
  assert {
    condition     = alltrue([for a in concat(values(google_monitoring_alert_policy.threshold), values(google_monitoring_alert_policy.query)) : contains(["WARNING", "ERROR", "CRITICAL"], a.severity)])
    error_message = "Each says how bad it is."
  }
}

run "without_a_standby" {
  command = plan
  variables { sql = { disk_limit_gb = 10, max_connections = 50, highly_available = false } }

  assert {
    condition     = !contains(output.alerts, "sql-standby") && contains(output.alerts, "sql-down")
    error_message = "A standby is watched where there is one."
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

run "hydra" {
  command = plan

  variables {
    oauth_host = "oauth.example.com"
  }

  assert {
    condition     = google_monitoring_uptime_check_config.this["oauth"].monitored_resource[0].labels.host == "oauth.example.com" && google_monitoring_uptime_check_config.this["oauth"].http_check[0].path == "/.well-known/openid-configuration"
    error_message = "Hydra is asked for by its own name."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.uptime["oauth"].documentation[0].content, "/hydra.md") && strcontains(google_monitoring_alert_policy.uptime["keys"].documentation[0].content, "/router-503.md")
    error_message = "Who is told that Hydra is down is told what to do about Hydra."
  }
}

run "dashboards" {
  assert {
    condition     = { for name, d in google_monitoring_dashboard.this : name => length(jsondecode(d.dashboard_json).mosaicLayout.tiles) } == { for name, d in local.dashboards : name => length(d.charts) } && toset(keys(local.dashboards)) == toset(["edge", "functions", "jobs", "data", "cost"])
    error_message = "Every dashboard is there, with every chart."
  }
  assert {
    condition = alltrue(flatten([for d in google_monitoring_dashboard.this : [for t in jsondecode(d.dashboard_json).mosaicLayout.tiles : [for s in t.widget.xyChart.dataSets :
      can(s.timeSeriesQuery.prometheusQuery) || anytrue(concat(
        [for of in regexall("^select_slo_budget_fraction[(].+[)]$", s.timeSeriesQuery.timeSeriesFilter.filter) : true],
        [for of in regexall("^resource.type=\"([a-z0-9_]+)\" AND metric.type=\"([^\"]+)\"", s.timeSeriesQuery.timeSeriesFilter.filter) : try(local.metrics[of[1]] == of[0], startswith(of[1], "logging.googleapis.com/user/platform/"))],
    ))]]]))
    error_message = "Every chart draws a metric of the list, a count of the log or an objective, of its own resource."
  }
  assert {
    condition     = length(distinct(flatten([for d in google_monitoring_dashboard.this : [for t in jsondecode(d.dashboard_json).mosaicLayout.tiles : "${jsondecode(d.dashboard_json).displayName}: ${t.widget.title}"]]))) == sum([for d in local.dashboards : length(d.charts)])
    error_message = "No two charts of a dashboard have one title."
  }
  assert {
    condition     = length([for m, r in local.metrics : m if !strcontains(jsonencode([for d in google_monitoring_dashboard.this : d.dashboard_json]), m) && !anytrue([for t in google_monitoring_alert_policy.threshold : strcontains(t.conditions[0].condition_threshold[0].filter, m)])]) == 0
    error_message = "No metric is listed that nobody looks at."
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
    oauth_host    = "https://oauth.example.com"
    load_balancer = "Edge/1"
    dead_letters  = "projects/example/subscriptions/dead"
    secrets_topic = "projects/example/topics/due"
    latency_ms    = 0.5
    latency_goal  = 95
  }
  expect_failures = [var.project_id, var.host, var.oauth_host, var.load_balancer, var.dead_letters, var.secrets_topic, var.latency_ms, var.latency_goal]
}
