# Memorystore for Redis: rate limits, counters, caches. Never the only copy of
# anything (docs/decisions/0008-redis.md); README.md says what that means for
# eviction.

resource "google_redis_instance" "this" {
  project        = var.project_id
  region         = var.region
  name           = var.name
  display_name   = "Limits, counters, caches"
  redis_version  = "REDIS_7_2"
  tier           = var.highly_available ? "STANDARD_HA" : "BASIC"
  memory_size_gb = var.memory_gb
  labels         = var.labels

  connect_mode       = "PRIVATE_SERVICE_ACCESS"
  authorized_network = var.network
  reserved_ip_range  = var.managed_range_name

  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"

  redis_configs = {
    # The key with the least time to live goes first: what a cache holds for
    # seconds before a day's counters, which live for days. All our keys expire.
    "maxmemory-policy" = var.eviction_policy
    # Eviction begins before the instance, replication included, is full.
    "maxmemory-gb" = tostring(var.memory_gb * 0.8)
    "timeout"      = "300"
  }

  persistence_config {
    # A day's counters outlive a restart.
    persistence_mode    = var.highly_available ? "RDB" : "DISABLED"
    rdb_snapshot_period = var.highly_available ? "ONE_HOUR" : null
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"
      start_time {
        hours   = 2
        minutes = 0
        seconds = 0
        nanos   = 0
      }
    }
  }

  deletion_protection = var.deletion_protection
}
