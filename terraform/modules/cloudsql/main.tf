# PostgreSQL by Google: Hydra's database, and the functions' where there is no Citus.
# It has an address inside the network only, takes TLS only, and is reached by the
# cluster's pods and the migration job alone (the firewall module says so).

locals {
  # What the pooler and Hydra's pods may open here at most, beside what is kept for
  # people, migrations and Google's own.
  wanted    = var.budget.poolers * var.budget.pool_size * var.budget.pools + var.budget.direct
  available = var.max_connections - var.budget.reserved
  # What functions may open at the pooler at most.
  clients       = sum(concat([0], values(var.budget.instances))) * var.budget.connections_per_instance
  pooler_limits = var.budget.poolers * var.budget.max_client_connections

  flags = merge({
    "max_connections"                     = tostring(var.max_connections)
    "log_lock_waits"                      = "on"
    "log_min_duration_statement"          = "500"
    "idle_in_transaction_session_timeout" = "60000"
    "lc_messages"                         = "C"
    "cloudsql.iam_authentication"         = "on"
  }, var.flags)
}

resource "google_sql_database_instance" "this" {
  project             = var.project_id
  region              = var.region
  name                = var.name
  database_version    = "POSTGRES_15"
  deletion_protection = var.deletion_protection
  # Removed along with the state of a plan that nobody read, it would be gone.
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.highly_available ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.disk_gb
    disk_autoresize             = true
    disk_autoresize_limit       = var.disk_limit_gb
    deletion_protection_enabled = var.deletion_protection
    retain_backups_on_delete    = var.deletion_protection
    user_labels                 = var.labels

    ip_configuration {
      ipv4_enabled                                  = false
      private_network                               = var.network
      allocated_ip_range                            = var.managed_range_name
      ssl_mode                                      = "ENCRYPTED_ONLY"
      enable_private_path_for_google_cloud_services = false
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "00:30"
      location                       = var.region
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = var.backups_kept

      backup_retention_settings {
        retained_backups = var.backups_kept
        retention_unit   = "COUNT"
      }
    }

    # Sunday, from two to three: the hour that Cloud SQL takes; the schedules that
    # work at night are made up for when they meet it.
    maintenance_window {
      day          = 7
      hour         = 2
      update_track = var.highly_available ? "stable" : "canary"
    }

    insights_config {
      query_insights_enabled  = true
      query_plans_per_minute  = 5
      query_string_length     = 4096
      record_application_tags = true
      # Addresses are personal data.
      record_client_address = false
    }

    password_validation_policy {
      enable_password_policy      = true
      min_length                  = 24
      complexity                  = "COMPLEXITY_DEFAULT"
      disallow_username_substring = true
    }

    dynamic "database_flags" {
      for_each = local.flags
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    # It grows by itself; a plan must not shrink it, which means to make it anew.
    ignore_changes = [settings[0].disk_size]

    precondition {
      condition     = local.wanted <= local.available
      error_message = "PgBouncer and Hydra may open ${local.wanted} connections (${var.budget.poolers} poolers × ${var.budget.pools} pools × ${var.budget.pool_size}, and ${var.budget.direct}), and the database has ${local.available} for it (${var.max_connections} less ${var.budget.reserved})."
    }
    precondition {
      condition     = local.clients <= local.pooler_limits
      error_message = "Functions may open ${local.clients} connections (instances × ${var.budget.connections_per_instance}), and PgBouncer takes ${local.pooler_limits} (${var.budget.poolers} × ${var.budget.max_client_connections})."
    }
    precondition {
      condition     = !var.highly_available || !startswith(var.tier, "db-f1") && !startswith(var.tier, "db-g1")
      error_message = "A shared-core tier is outside of Cloud SQL's promise: not with highly_available."
    }
  }
}
