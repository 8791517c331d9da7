# One function of functions/functions.json: its account, its Cloud Run service, and
# who may call it. The delivery pipeline brings images and shifts traffic;
# everything else about the service is here.

locals {
  email = "${google_service_account.this.account_id}@${var.project_id}.iam.gserviceaccount.com"
  # Deterministic, so that functions can know each other before they exist.
  url = "https://${var.function.name}-${var.project_number}.${var.region}.run.app"

  open = contains(var.function.invokers, "everyone")
  # Calls of the platform's services come with a token of the caller's account,
  # which Cloud Run has checked before the function sees it.
  callers = { for kind in var.function.invokers : kind => var.invokers[kind] if kind != "everyone" }

  # A set of keys is a file: Cloud Run reads its newest version whenever it is
  # opened, so that a rotation needs no deployment. What is an address or a
  # password of somebody else's is a variable.
  files     = toset([for s in var.function.secrets : s if can(regex("-keys?$", s)) && !startswith(s, "stripe-")])
  variables = { for s in setsubtract(var.function.secrets, local.files) : upper(replace(s, "-", "_")) => s }

  databases = {
    none   = {}
    app    = { DATABASE_URL = "database-url" }
    system = { SYSTEM_DATABASE_URL = "system-database-url" }
    both   = { DATABASE_URL = "database-url", SYSTEM_DATABASE_URL = "system-database-url" }
  }
  secret_env = merge(local.variables, local.databases[var.function.database], var.redis ? { REDIS_URL = "redis-url" } : {})

  # Authorities that are not the world's: Go reads every file of these folders
  # beside the system's own.
  authorities = toset(concat(var.redis ? ["redis-ca"] : [], var.function.database == "none" ? [] : ["database-ca"]))

  readable = setunion(var.function.secrets, values(local.secret_env), local.authorities)

  env = merge(var.env, {
    GOOGLE_CLOUD_PROJECT = var.project_id
    PUSH_AUDIENCE        = local.url
    }, length(local.files) == 0 ? {} : { SECRETS_DIR = "/secrets" },
    length(local.authorities) == 0 ? {} : { SSL_CERT_DIR = join(":", [for a in sort(tolist(local.authorities)) : "/authorities/${a}"]) },
    local.open ? {} : { PUSH_PLATFORM_VERIFIES = "true" },
    length([for kind in keys(local.callers) : kind if kind != "router"]) == 0 ? {} : {
      PUSH_SERVICE_ACCOUNTS = join(",", sort([for kind, email in local.callers : email if kind != "router"]))
  })
}

resource "google_service_account" "this" {
  project = var.project_id
  # Google wants six letters at least, which not every name has.
  account_id   = "fn-${var.function.name}"
  display_name = "The function ${var.function.name}"
}

# Its secrets, and no others: before the service starts, which reads them.
resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.readable

  project   = var.project_id
  secret_id = lookup(var.secret_ids, each.value, each.value)
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${local.email}"
}

resource "google_cloud_run_v2_service" "this" {
  project             = var.project_id
  location            = var.region
  name                = var.function.name
  description         = "${var.function.folder}: ${var.function.kind}"
  deletion_protection = var.deletion_protection
  labels              = merge(var.labels, { kind = var.function.kind })

  # What is open to the world is so behind the load balancer, where Cloud Armor is.
  ingress              = local.open ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
  invoker_iam_disabled = false

  binary_authorization {
    use_default = true
  }

  template {
    service_account                  = local.email
    timeout                          = var.timeout
    max_instance_request_concurrency = var.function.resources.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = min(var.function.resources.min, var.min_instances_limit)
      max_instance_count = min(var.function.resources.max, var.max_instances_limit)
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = var.network
        subnetwork = var.subnetwork
        tags       = concat([var.network_tag], var.further_tags)
      }
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = var.function.resources.cpu
          memory = var.function.resources.memory
        }
        # Nothing is done after the answer (docs/ARCHITECTURE.md).
        cpu_idle          = true
        startup_cpu_boost = true
      }

      # Functions open nothing at their start, so a port that answers is all there
      # is to ask; the network of direct egress may need some seconds longer.
      startup_probe {
        initial_delay_seconds = 0
        timeout_seconds       = 2
        period_seconds        = 2
        failure_threshold     = 30
        tcp_socket {
          port = 8080
        }
      }

      # Answered without the function being opened (shared/serve): one that hangs is
      # started again, one whose database is away is not.
      liveness_probe {
        timeout_seconds   = 2
        period_seconds    = 30
        failure_threshold = 3
        http_get {
          path = "/livez"
          port = 8080
        }
      }

      dynamic "env" {
        for_each = local.env
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.secret_env
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = lookup(var.secret_ids, env.value, env.value)
              version = lookup(var.secret_versions, env.value, "latest")
            }
          }
        }
      }

      dynamic "volume_mounts" {
        for_each = local.files
        content {
          name       = volume_mounts.value
          mount_path = "/secrets/${volume_mounts.value}"
        }
      }

      dynamic "volume_mounts" {
        for_each = local.authorities
        content {
          name       = volume_mounts.value
          mount_path = "/authorities/${volume_mounts.value}"
        }
      }
    }

    dynamic "volumes" {
      for_each = setunion(local.files, local.authorities)
      content {
        name = volumes.value
        secret {
          secret       = lookup(var.secret_ids, volumes.value, volumes.value)
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
    # The pipeline's: which image runs, and who gets which part of the traffic.
    ignore_changes = [template[0].containers[0].image, template[0].revision, traffic, client, client_version]

    precondition {
      condition     = !local.open || try(var.function.raw, false)
      error_message = "${var.function.name}: only what checks a signature over the raw body may be called by everyone."
    }
    precondition {
      condition     = tonumber(var.function.resources.cpu) >= 1 || var.function.resources.concurrency == 1
      error_message = "${var.function.name}: below one CPU an instance serves one request at a time."
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

resource "google_cloud_run_v2_service_iam_member" "caller" {
  for_each = local.callers

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.value}"
}

# The function checks a signature of its own.
resource "google_cloud_run_v2_service_iam_member" "everyone" {
  count = local.open ? 1 : 0

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_project_iam_member" "this" {
  for_each = var.project_roles

  project = var.project_id
  role    = each.value
  member  = "serviceAccount:${local.email}"
}
