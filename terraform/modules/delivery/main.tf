# What a release needs beside the services that it replaces: the job that migrates
# the database, the job that asks new revisions from inside the network, and the
# bucket with the note of what runs. scripts/delivery names all three.

locals {
  email     = "${google_service_account.smoke.account_id}@${var.project_id}.iam.gserviceaccount.com"
  releases  = "${var.project_id}-releases"
  authority = "database-ca"
}

# record.sh writes it and since.sh reads it, as the account that deploys.
resource "google_storage_bucket" "releases" {
  project                     = var.project_id
  name                        = local.releases
  location                    = var.region
  storage_class               = "STANDARD"
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # What ran before is a version of the note.
  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 100
      with_state         = "ARCHIVED"
    }
  }
}

# Migrates past the pooler, which a lock for the session would not survive.
resource "google_cloud_run_v2_job" "migrate" {
  project             = var.project_id
  location            = var.region
  name                = "migrate"
  deletion_protection = var.deletion_protection
  labels              = var.labels

  binary_authorization {
    use_default = true
  }

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = var.migrator
      timeout         = "3600s"
      # A migration that failed is looked at by somebody, and not tried again.
      max_retries           = 0
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
          tags       = [var.tags.migrator]
        }
      }

      containers {
        image = var.image
        args  = ["status"]

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
          }
        }

        env {
          name  = "SSL_CERT_DIR"
          value = "/authorities/${local.authority}"
        }
        env {
          name = "MIGRATE_DATABASE_URL"
          value_source {
            secret_key_ref {
              secret  = lookup(var.secret_ids, "migrate-database-url", "migrate-database-url")
              version = "latest"
            }
          }
        }

        volume_mounts {
          name       = local.authority
          mount_path = "/authorities/${local.authority}"
        }
      }

      volumes {
        name = local.authority
        secret {
          secret       = lookup(var.secret_ids, local.authority, local.authority)
          default_mode = 292 # 0444
          items {
            version = "latest"
            path    = "latest"
          }
        }
      }
    }
  }

  lifecycle {
    # The pipeline brings images, as with services.
    ignore_changes = [template[0].template[0].containers[0].image, client, client_version]
  }
}

# Asks, and knows nothing: neither secrets nor the database.
resource "google_service_account" "smoke" {
  project      = var.project_id
  account_id   = "smoke-test"
  display_name = "Asks new revisions before they get traffic"
}

resource "google_cloud_run_v2_job" "smoke" {
  project             = var.project_id
  location            = var.region
  name                = "smoke"
  deletion_protection = var.deletion_protection
  labels              = var.labels

  binary_authorization {
    use_default = true
  }

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account       = local.email
      timeout               = "120s"
      max_retries           = 1
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      # By the network, as the router: that is what makes a call internal.
      vpc_access {
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
          tags       = [var.tags.functions]
        }
      }

      containers {
        image   = var.image
        command = ["/smoke"]

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
          }
        }
      }
    }
  }

  lifecycle {
    # The pipeline's: smoke.sh says whom to ask with each execution.
    ignore_changes = [template[0].template[0].containers[0].image, client, client_version]
  }
}

resource "google_cloud_run_v2_service_iam_member" "smoke" {
  for_each = var.services

  project  = var.project_id
  location = var.region
  name     = each.value
  role     = "roles/run.invoker"
  member   = "serviceAccount:${local.email}"
}
