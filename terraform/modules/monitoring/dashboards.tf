# Dashboards, from one line for each chart. A chart names a metric of the list below,
# which says what it is measured on, or a log's count, an objective or a query.

locals {
  # Google's metrics that are drawn or alerted on, and the resource of each. The whole
  # list: docs.cloud.google.com/monitoring/api/metrics_gcp.
  metrics = {
    "loadbalancing.googleapis.com/https/request_count"        = "https_lb_rule"
    "loadbalancing.googleapis.com/https/response_bytes_count" = "https_lb_rule"
    "loadbalancing.googleapis.com/https/total_latencies"      = "https_lb_rule"
    "monitoring.googleapis.com/uptime_check/check_passed"     = "uptime_url"
    "networksecurity.googleapis.com/https/request_count"      = "network_security_policy"

    "run.googleapis.com/container/billable_instance_time" = "cloud_run_revision"
    "run.googleapis.com/container/cpu/utilizations"       = "cloud_run_revision"
    "run.googleapis.com/container/instance_count"         = "cloud_run_revision"
    "run.googleapis.com/container/memory/utilizations"    = "cloud_run_revision"
    "run.googleapis.com/request_count"                    = "cloud_run_revision"
    "run.googleapis.com/request_latencies"                = "cloud_run_revision"

    "cloudtasks.googleapis.com/queue/depth"                         = "cloud_tasks_queue"
    "cloudtasks.googleapis.com/queue/task_attempt_count"            = "cloud_tasks_queue"
    "cloudtasks.googleapis.com/queue/task_attempt_delays"           = "cloud_tasks_queue"
    "pubsub.googleapis.com/subscription/num_undelivered_messages"   = "pubsub_subscription"
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age" = "pubsub_subscription"

    "cloudsql.googleapis.com/database/available_for_failover"                = "cloudsql_database"
    "cloudsql.googleapis.com/database/cpu/utilization"                       = "cloudsql_database"
    "cloudsql.googleapis.com/database/disk/bytes_used"                       = "cloudsql_database"
    "cloudsql.googleapis.com/database/disk/utilization"                      = "cloudsql_database"
    "cloudsql.googleapis.com/database/memory/utilization"                    = "cloudsql_database"
    "cloudsql.googleapis.com/database/postgresql/num_backends"               = "cloudsql_database"
    "cloudsql.googleapis.com/database/postgresql/transaction_id_utilization" = "cloudsql_database"
    "cloudsql.googleapis.com/database/replication/log_archive_failure_count" = "cloudsql_database"
    "cloudsql.googleapis.com/database/up"                                    = "cloudsql_database"
    "redis.googleapis.com/clients/connected"                                 = "redis_instance"
    "redis.googleapis.com/stats/evicted_keys"                                = "redis_instance"
    "redis.googleapis.com/stats/memory/system_memory_usage_ratio"            = "redis_instance"
    "redis.googleapis.com/stats/memory/usage_ratio"                          = "redis_instance"

    "kubernetes.io/node/cpu/total_cores"               = "k8s_node"
    "logging.googleapis.com/billing/bytes_ingested"    = "global"
    "monitoring.googleapis.com/billing/bytes_ingested" = "global"
    "storage.googleapis.com/storage/v2/total_bytes"    = "gcs_bucket"
  }

  # How a chart puts points and series together.
  folds = {
    rate = { perSeriesAligner = "ALIGN_RATE", crossSeriesReducer = "REDUCE_SUM" }
    sum  = { perSeriesAligner = "ALIGN_MAX", crossSeriesReducer = "REDUCE_SUM" }
    max  = { perSeriesAligner = "ALIGN_MAX", crossSeriesReducer = "REDUCE_MAX" }
    min  = { perSeriesAligner = "ALIGN_MIN", crossSeriesReducer = "REDUCE_MIN" }
    good = { perSeriesAligner = "ALIGN_FRACTION_TRUE", crossSeriesReducer = "REDUCE_MEAN" }
    p95  = { perSeriesAligner = "ALIGN_DELTA", crossSeriesReducer = "REDUCE_PERCENTILE_95" }
    left = { perSeriesAligner = "ALIGN_NEXT_OLDER", crossSeriesReducer = "REDUCE_NONE" }
  }

  service = ["resource.label.service_name"]

  dashboards = {
    edge = { title = "Edge and objectives", charts = [
      { title = "Budget of errors that is left", slo = google_monitoring_slo.availability.id, fold = "left" },
      { title = "Budget of slow answers that is left", slo = google_monitoring_slo.latency.id, fold = "left" },
      { title = "Requests by status", metric = "loadbalancing.googleapis.com/https/request_count", fold = "rate", by = ["metric.label.response_code_class"] },
      { title = "Latency, 95th percentile", metric = "loadbalancing.googleapis.com/https/total_latencies", fold = "p95", limit = var.latency_ms },
      { title = "Checks from outside that pass", metric = "monitoring.googleapis.com/uptime_check/check_passed", fold = "good", by = ["metric.label.check_id"] },
      { title = "Requests that Cloud Armor blocks", metric = "networksecurity.googleapis.com/https/request_count", where = "metric.labels.blocked=\"true\"", fold = "rate", by = ["resource.label.policy_name"] },
    ] }
    functions = { title = "Functions", charts = [
      { title = "Requests", metric = "run.googleapis.com/request_count", fold = "rate", by = local.service },
      { title = "Answers 5xx", metric = "run.googleapis.com/request_count", where = "metric.labels.response_code_class=\"5xx\"", fold = "rate", by = local.service },
      { title = "Latency, 95th percentile", metric = "run.googleapis.com/request_latencies", fold = "p95", by = local.service },
      { title = "Instances", metric = "run.googleapis.com/container/instance_count", fold = "sum", by = local.service },
      { title = "Processor, 95th percentile", metric = "run.googleapis.com/container/cpu/utilizations", fold = "p95", by = local.service },
      { title = "Memory, 95th percentile", metric = "run.googleapis.com/container/memory/utilizations", fold = "p95", by = local.service },
      { title = "Refused calls", log = "forged-hop", fold = "rate", by = ["metric.label.function"] },
      { title = "Functions that the router gave up on", log = "function-down", fold = "rate", by = ["metric.label.function"] },
    ] }
    jobs = { title = "Jobs and schedules", charts = [
      { title = "Tasks that wait", metric = "cloudtasks.googleapis.com/queue/depth", fold = "sum", by = ["resource.label.queue_id"] },
      { title = "Attempts of tasks by answer", metric = "cloudtasks.googleapis.com/queue/task_attempt_count", fold = "rate", by = ["metric.label.response_code"] },
      { title = "Lateness of attempts, 95th percentile", metric = "cloudtasks.googleapis.com/queue/task_attempt_delays", fold = "p95", by = ["resource.label.queue_id"] },
      { title = "Events that wait", metric = "pubsub.googleapis.com/subscription/num_undelivered_messages", fold = "sum", by = ["resource.label.subscription_id"] },
      { title = "Age of the oldest event", metric = "pubsub.googleapis.com/subscription/oldest_unacked_message_age", fold = "max", by = ["resource.label.subscription_id"] },
      { title = "Messages that were given up", log = "dead-letter", fold = "rate", by = ["metric.label.function"] },
      { title = "Runs of schedules", metric = "run.googleapis.com/request_count", where = "metric.labels.response_code=\"200\" AND resource.labels.service_name=one_of(${join(",", [for s in sort(keys(var.schedules)) : "\"${s}\""])})", fold = "rate", by = local.service },
      { title = "Runs that began late", log = "schedule-late", fold = "rate", by = ["metric.label.function"] },
    ] }
    data = { title = "Data", charts = concat(
      [
        { title = "Cloud SQL: processor", metric = "cloudsql.googleapis.com/database/cpu/utilization", fold = "max", by = ["resource.label.database_id"], limit = 0.9 },
        { title = "Cloud SQL: memory", metric = "cloudsql.googleapis.com/database/memory/utilization", fold = "max", by = ["resource.label.database_id"] },
        { title = "Cloud SQL: disk", metric = "cloudsql.googleapis.com/database/disk/utilization", fold = "max", by = ["resource.label.database_id"] },
        { title = "Cloud SQL: connections", metric = "cloudsql.googleapis.com/database/postgresql/num_backends", fold = "sum", by = ["resource.label.database_id"], limit = 0.8 * var.sql.max_connections },
        { title = "Cloud SQL: transaction ids", metric = "cloudsql.googleapis.com/database/postgresql/transaction_id_utilization", fold = "max", by = ["resource.label.database_id"], limit = 0.5 },
      ],
      [
        { title = "Redis: memory, against where it evicts", metric = "redis.googleapis.com/stats/memory/usage_ratio", fold = "max", limit = 0.85 },
        { title = "Redis: keys evicted", metric = "redis.googleapis.com/stats/evicted_keys", fold = "rate" },
        { title = "Redis: connections", metric = "redis.googleapis.com/clients/connected", fold = "sum" },
      ],
    ) }
    # The parts of docs/COSTS.md that move with what tenants do.
    cost = { title = "Cost", charts = [
      { title = "Requests at the edge", metric = "loadbalancing.googleapis.com/https/request_count", fold = "rate" },
      { title = "Requests of functions", metric = "run.googleapis.com/request_count", fold = "rate", by = local.service },
      { title = "Instances that are billed", metric = "run.googleapis.com/container/billable_instance_time", fold = "rate", by = local.service },
      { title = "Latency of functions, 95th percentile", metric = "run.googleapis.com/request_latencies", fold = "p95", by = local.service },
      { title = "Attempts of tasks", metric = "cloudtasks.googleapis.com/queue/task_attempt_count", fold = "rate", by = ["resource.label.queue_id"] },
      { title = "Bytes to the internet", metric = "loadbalancing.googleapis.com/https/response_bytes_count", fold = "rate" },
      { title = "Bytes of logs", metric = "logging.googleapis.com/billing/bytes_ingested", fold = "rate", by = ["metric.label.resource_type"] },
      { title = "Bytes of metrics", metric = "monitoring.googleapis.com/billing/bytes_ingested", fold = "rate" },
      { title = "Bytes in buckets", metric = "storage.googleapis.com/storage/v2/total_bytes", fold = "sum", by = ["resource.label.bucket_name"] },
      { title = "Bytes of Cloud SQL", metric = "cloudsql.googleapis.com/database/disk/bytes_used", fold = "sum" },
      { title = "Processors of the cluster", metric = "kubernetes.io/node/cpu/total_cores", fold = "sum" },
    ] }
  }
}

resource "google_monitoring_dashboard" "this" {
  for_each = local.dashboards

  project = var.project_id

  dashboard_json = jsonencode({
    displayName = each.value.title
    mosaicLayout = {
      columns = 48
      tiles = [for i, chart in each.value.charts : {
        xPos = (i % 2) * 24, yPos = floor(i / 2) * 16, width = 24, height = 16
        widget = {
          title = chart.title
          xyChart = {
            thresholds = [for limit in [try(chart.limit, null)] : { value = limit } if limit != null]
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = { for kind, query in { prometheusQuery = try(chart.query, null), timeSeriesFilter = can(chart.query) ? null : {
                filter = join(" AND ", compact([
                  try("resource.type=\"${local.metrics[chart.metric]}\" AND metric.type=\"${chart.metric}\"", ""),
                  try("resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.this[chart.log].name}\"", ""),
                  try("select_slo_budget_fraction(\"${chart.slo}\")", ""),
                  try(chart.where, ""),
                ]))
                aggregation = merge(local.folds[chart.fold], { alignmentPeriod = "60s", groupByFields = try(chart.by, []) })
              } } : kind => query if query != null }
            }]
          }
        }
      }]
    }
  })
}
