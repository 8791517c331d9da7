# What is watched of the data: each alert has the section of a page that says what to
# do, and is there where its resource is.

locals {
  # Cloud SQL makes room by itself, at nine tenths of a small disk and later of a large
  # one: what matters is how near that is to the limit. A standby is a copy of the disk
  # and not a replica that could lag; whether it could take over is told.
  sql_thresholds = {
    sql-down        = { why = "Cloud SQL is down", metric = "cloudsql.googleapis.com/database/up", below = 1, for = "300s", aligner = "ALIGN_MAX", reducer = "REDUCE_MIN", severity = "CRITICAL", runbook = "database", section = "cloud-sql" }
    sql-disk        = { why = "Cloud SQL's disk is at 85 % of what it may grow to", metric = "cloudsql.googleapis.com/database/disk/bytes_used", above = 0.85 * var.sql.disk_limit_gb * pow(2, 30), for = "600s", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", severity = "ERROR", runbook = "database", section = "disk" }
    sql-processor   = { why = "Cloud SQL's processor is above 90 %", metric = "cloudsql.googleapis.com/database/cpu/utilization", above = 0.9, for = "900s", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", severity = "WARNING", runbook = "database", section = "processor" }
    sql-connections = { why = "Cloud SQL has 80 % of its connections open", metric = "cloudsql.googleapis.com/database/postgresql/num_backends", above = 0.8 * var.sql.max_connections, for = "300s", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.label.database_id"], severity = "ERROR", runbook = "database", section = "connections" }
    sql-wraparound  = { why = "Cloud SQL has used half of its transaction ids", metric = "cloudsql.googleapis.com/database/postgresql/transaction_id_utilization", above = 0.5, for = "3600s", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", severity = "ERROR", runbook = "database", section = "transaction-ids" }
    sql-archive     = { why = "Cloud SQL cannot archive its log", metric = "cloudsql.googleapis.com/database/replication/log_archive_failure_count", above = 0, for = "900s", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", severity = "ERROR", runbook = "database", section = "backups" }
    sql-standby     = { why = "Cloud SQL's standby could not take over", metric = "cloudsql.googleapis.com/database/available_for_failover", below = 1, for = "1800s", aligner = "ALIGN_MAX", reducer = "REDUCE_MIN", severity = "ERROR", runbook = "database", section = "cloud-sql" }
  }

  # The ratio is to maxmemory-gb, at which eviction begins: of keys that expire, and
  # all do (docs/decisions/0008-redis.md). Beyond 80 % of the system's memory Redis may
  # end. Source: docs.cloud.google.com/memorystore/docs/redis/memory-management-best-practices.
  redis_thresholds = {
    redis-memory = { why = "Redis is at 85 % of the memory at which it evicts", metric = "redis.googleapis.com/stats/memory/usage_ratio", above = 0.85, for = "600s", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", severity = "WARNING", runbook = "redis", section = "it-is-nearly-full" }
    redis-system = { why = "Redis is at 80 % of its system's memory", metric = "redis.googleapis.com/stats/memory/system_memory_usage_ratio", above = 0.8, for = "300s", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", severity = "ERROR", runbook = "redis", section = "it-is-nearly-full" }
  }

  thresholds = merge(
    { for name, t in local.sql_thresholds : name => t if name != "sql-standby" || var.sql.highly_available },
    local.redis_thresholds,
  )

  # Cloud SQL begins a backup within four hours of its time: 30 hours, not 26. Source:
  # docs.cloud.google.com/sql/docs/postgres/backup-recovery/view-audit-logs-for-automated-backups.
  done = {
    sql-backup = { why = "Cloud SQL made its backup", filter = "resource.type=\"cloudsql_database\" AND protoPayload.methodName=\"cloudsql.instances.automatedBackup\" AND protoPayload.metadata.windowStatus=\"STATUS_SUCCEEDED\"" }
  }

  queries = {
    sql-backup = { why = "Cloud SQL has made no backup for 30 hours", query = "absent(sum(increase(logging_googleapis_com:user_platform_sql_backup{monitored_resource=\"cloudsql_database\"}[30h])) > 0)", for = "0s", severity = "ERROR", runbook = "database", section = "backups" }
  }
}
