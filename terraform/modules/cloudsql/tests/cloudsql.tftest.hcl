mock_provider "google" {}

variables {
  project_id         = "example-prod"
  region             = "europe-west1"
  network            = "projects/example-prod/global/networks/coditect"
  managed_range_name = "coditect-managed-services"
  budget             = { instances = { tasks = 100, projects = 50 } }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.database_version == "POSTGRES_15"
    error_message = "PostgreSQL 15."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled == false
    error_message = "The database has no public address."
  }
  assert {
    condition     = length(google_sql_database_instance.this.settings[0].ip_configuration[0].authorized_networks) == 0
    error_message = "No network outside is let in."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].private_network == "projects/example-prod/global/networks/coditect"
    error_message = "The database is in our network."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "The database takes TLS only."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].availability_type == "REGIONAL"
    error_message = "A standby waits in another zone."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].tier == "db-custom-4-15360"
    error_message = "Four CPUs and 15 GB."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].disk_size == 100 && google_sql_database_instance.this.settings[0].disk_autoresize
    error_message = "100 GB that grow."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].disk_autoresize_limit > 0
    error_message = "Growth has an end."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].enabled
    error_message = "Backups are made."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].backup_retention_settings[0].retained_backups == 7
    error_message = "Backups are kept for seven days."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].point_in_time_recovery_enabled
    error_message = "Every moment can be restored."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].transaction_log_retention_days == 7
    error_message = "The log is kept as long as the backups."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].maintenance_window[0].day == 7 && google_sql_database_instance.this.settings[0].maintenance_window[0].hour == 2
    error_message = "Maintenance is on Sundays between two and six."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].insights_config[0].query_insights_enabled
    error_message = "Query insights are on."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].insights_config[0].record_client_address == false
    error_message = "Insights keep no addresses."
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "The database is protected in Terraform and in Google's API."
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_policy == "PREVENT"
    error_message = "A plan that drops the database fails."
  }
  assert {
    condition     = one([for f in google_sql_database_instance.this.settings[0].database_flags : f.value if f.name == "max_connections"]) == "400"
    error_message = "The database has the connections that the budget counts with."
  }
  assert {
    condition     = one([for f in google_sql_database_instance.this.settings[0].database_flags : f.value if f.name == "lc_messages"]) == "C"
    error_message = "Messages are in English: constraint names are read from them."
  }
  assert {
    condition     = output.connections.pooler.wanted == 320 && output.connections.pooler.available == 350
    error_message = "2 poolers × 2 pools × 80, of 400 less 50."
  }
  assert {
    condition     = output.connections.clients.wanted == 1500 && output.connections.clients.available == 20000
    error_message = "150 instances × 10, of 2 × 10,000."
  }
}

run "refuses_more_pools_than_connections" {
  command = plan
  variables { budget = { instances = { tasks = 1 }, pool_size = 90 } }
  expect_failures = [google_sql_database_instance.this]
}

run "beside_citus" {
  command = plan
  variables { budget = { instances = {}, poolers = 0, direct = 84 } }

  assert {
    condition     = output.connections == { pooler = { wanted = 84, available = 350 }, clients = { wanted = 0, available = 0 } }
    error_message = "Without functions there are Hydra's connections only."
  }
}

run "refuses_hydra_beyond" {
  command = plan
  variables { budget = { instances = { tasks = 1 }, direct = 31 } }
  expect_failures = [google_sql_database_instance.this]
}

run "refuses_more_functions_than_pooler" {
  command = plan
  variables { budget = { instances = { tasks = 100 }, max_client_connections = 400 } }
  expect_failures = [google_sql_database_instance.this]
}

run "refuses_a_shared_core_with_standby" {
  command = plan
  variables { tier = "db-f1-micro" }
  expect_failures = [google_sql_database_instance.this]
}

run "refuses_few_backups" {
  command = plan
  variables { backups_kept = 1 }
  expect_failures = [var.backups_kept]
}

run "refuses_growth_without_end" {
  command = plan
  variables { disk_limit_gb = 0 }
  expect_failures = [var.disk_limit_gb]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id         = "X"
    region             = "europe"
    name               = "Coditect"
    network            = "default"
    managed_range_name = "10.16.0.0/16"
    max_connections    = 0
  }
  expect_failures = [var.project_id, var.region, var.name, var.network, var.managed_range_name, var.max_connections]
}
