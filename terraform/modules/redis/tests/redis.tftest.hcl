mock_provider "google" {}

variables {
  project_id         = "example-prod"
  region             = "europe-west1"
  network            = "projects/example-prod/global/networks/coditect"
  managed_range_name = "coditect-managed-services"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_redis_instance.this.transit_encryption_mode == "SERVER_AUTHENTICATION"
    error_message = "Redis takes TLS only."
  }
  assert {
    condition     = google_redis_instance.this.auth_enabled
    error_message = "Redis asks for a password."
  }
  assert {
    condition     = google_redis_instance.this.connect_mode == "PRIVATE_SERVICE_ACCESS"
    error_message = "Redis has an address inside only."
  }
  assert {
    condition     = google_redis_instance.this.authorized_network == "projects/example-prod/global/networks/coditect"
    error_message = "Redis is in our network."
  }
  assert {
    condition     = google_redis_instance.this.tier == "STANDARD_HA"
    error_message = "A replica in another zone takes over."
  }
  assert {
    condition     = google_redis_instance.this.memory_size_gb == 5
    error_message = "Five GB."
  }
  assert {
    condition     = startswith(google_redis_instance.this.redis_version, "REDIS_7")
    error_message = "Redis 7."
  }
  assert {
    condition     = google_redis_instance.this.redis_configs["maxmemory-policy"] == "volatile-ttl"
    error_message = "Caches are evicted before counters."
  }
  assert {
    condition     = tonumber(google_redis_instance.this.redis_configs["maxmemory-gb"]) == 4
    error_message = "Eviction begins at four fifths."
  }
  assert {
    condition     = google_redis_instance.this.persistence_config[0].persistence_mode == "RDB"
    error_message = "Counters outlive a restart."
  }
  assert {
    condition     = google_redis_instance.this.maintenance_policy[0].weekly_maintenance_window[0].day == "SUNDAY"
    error_message = "Maintenance is on Sundays."
  }
  assert {
    condition     = google_redis_instance.this.deletion_protection
    error_message = "Redis is protected."
  }
}

run "url" {
  assert {
    condition     = startswith(output.url, "rediss://:")
    error_message = "Functions are given an address with TLS."
  }
}

run "refuses_to_stop_taking_writes" {
  command = plan
  variables { eviction_policy = "noeviction" }
  expect_failures = [var.eviction_policy]
}

run "refuses_half_gigabytes" {
  command = plan
  variables { memory_gb = 0.5 }
  expect_failures = [var.memory_gb]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id         = "X"
    region             = "europe"
    name               = "Coditect"
    network            = "default"
    managed_range_name = "10.16.0.0/16"
  }
  expect_failures = [var.project_id, var.region, var.name, var.network, var.managed_range_name]
}
