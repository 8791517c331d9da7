mock_provider "google" {}

variables {
  project_id     = "example-prod"
  project_number = "123456789012"
  region         = "europe-west1"
  network        = "projects/example-prod/global/networks/coditect"
  subnetwork     = "projects/example-prod/regions/europe-west1/subnetworks/coditect-functions"
  image          = "europe-west1-docker.pkg.dev/example-prod/images/mailer@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  timeout        = "60s"
  invokers = {
    router     = "router@example-prod.iam.gserviceaccount.com"
    cloudtasks = "push-cloudtasks@example-prod.iam.gserviceaccount.com"
    pubsub     = "push-pubsub@example-prod.iam.gserviceaccount.com"
    scheduler  = "push-scheduler@example-prod.iam.gserviceaccount.com"
  }
  function = {
    name      = "mailer"
    folder    = "functions/mailer"
    kind      = "task"
    secrets   = ["envelope-keys", "hop-key", "mail-url"]
    invokers  = ["cloudtasks"]
    database  = "app"
    resources = { cpu = "1", memory = "256Mi", concurrency = 80, min = 1, max = 50, timeout = "60s" }
  }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "task" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "A function is reached from inside only."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.invoker_iam_disabled == false
    error_message = "Who calls is checked."
  }
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.everyone) == 0
    error_message = "Not everyone may call."
  }
  assert {
    condition     = toset([for m in google_cloud_run_v2_service_iam_member.caller : m.member]) == toset(["serviceAccount:push-cloudtasks@example-prod.iam.gserviceaccount.com"])
    error_message = "Exactly the entry's invokers may call."
  }
  assert {
    condition     = alltrue([for m in google_cloud_run_v2_service_iam_member.caller : m.role == "roles/run.invoker"])
    error_message = "Callers call, and nothing else."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].service_account == "fn-mailer@example-prod.iam.gserviceaccount.com"
    error_message = "A function has an account of its own."
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.reader)) == toset(["envelope-keys", "hop-key", "mail-url", "database-url", "redis-url", "redis-ca", "database-ca"])
    error_message = "It reads its own secrets, and no others."
  }
  assert {
    condition     = alltrue([for m in google_secret_manager_secret_iam_member.reader : m.role == "roles/secretmanager.secretAccessor"])
    error_message = "It reads secrets, and writes none."
  }
  assert {
    condition     = length(google_project_iam_member.this) == 0
    error_message = "It has no role in the project unless one is given."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY" && google_cloud_run_v2_service.this.template[0].vpc_access[0].network_interfaces[0].tags == tolist(["functions"])
    error_message = "It goes out by the network, under the firewall's tag."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].max_instance_request_concurrency == 80
    error_message = "Concurrency is the entry's."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 1 && google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count == 50
    error_message = "Instances are the entry's."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].startup_cpu_boost
    error_message = "It starts with more CPU."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].cpu_idle
    error_message = "It pays for CPU only while it serves."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].startup_probe[0].tcp_socket[0].port == 8080
    error_message = "It gets no traffic before its port answers."
  }
  assert {
    condition     = try(google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe[0].http_get[0].path == "/livez", false)
    error_message = "A function that hangs is started again."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.binary_authorization[0].use_default
    error_message = "Its image is checked."
  }
  assert {
    condition     = toset([for v in google_cloud_run_v2_service.this.template[0].volumes : v.name]) == toset(["envelope-keys", "hop-key", "redis-ca", "database-ca"])
    error_message = "Keys are files."
  }
  assert {
    condition     = toset([for m in google_cloud_run_v2_service.this.template[0].containers[0].volume_mounts : m.mount_path if startswith(m.mount_path, "/secrets")]) == toset(["/secrets/envelope-keys", "/secrets/hop-key"]) && alltrue([for v in google_cloud_run_v2_service.this.template[0].volumes : v.secret[0].items[0].path == "latest"])
    error_message = "A key is /secrets/NAME/latest, where the program looks."
  }
  assert {
    condition     = alltrue([for v in google_cloud_run_v2_service.this.template[0].volumes : v.secret[0].items[0].version == "latest"])
    error_message = "A rotated key is read without a deployment."
  }
  assert {
    condition     = toset([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.name if length(e.value_source) > 0]) == toset(["MAIL_URL", "DATABASE_URL", "REDIS_URL"])
    error_message = "Addresses with passwords come from Secret Manager."
  }
  assert {
    condition     = length([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e if e.name == "SYSTEM_DATABASE_URL"]) == 0
    error_message = "The role that crosses tenants is not everybody's."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "PUSH_AUDIENCE"]) == "https://mailer-123456789012.europe-west1.run.app"
    error_message = "Tokens are made for this function."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "PUSH_SERVICE_ACCOUNTS"]) == "push-cloudtasks@example-prod.iam.gserviceaccount.com"
    error_message = "It knows who pushes."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "SSL_CERT_DIR"]) == "/authorities/database-ca:/authorities/redis-ca"
    error_message = "It can check the certificates of Redis and PgBouncer."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.deletion_protection
    error_message = "The service is protected."
  }
}

run "webhook" {
  command = plan
  variables {
    function = {
      name      = "stripewebhook"
      folder    = "functions/stripewebhook"
      kind      = "http"
      raw       = true
      secrets   = ["stripe-webhook-key"]
      invokers  = ["everyone"]
      database  = "app"
      resources = { cpu = "1", memory = "256Mi", concurrency = 80, min = 0, max = 10, timeout = "30s" }
    }
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.everyone[0].member == "allUsers"
    error_message = "Stripe may call."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "What everyone may call stands behind Cloud Armor."
  }
  assert {
    condition     = length([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e if e.name == "PUSH_PLATFORM_VERIFIES"]) == 0
    error_message = "Where everyone may call, nobody else has checked the token."
  }
}

run "schedule" {
  command = plan
  variables {
    max_instances_limit = 1
    min_instances_limit = 0
    redis               = false
    function = {
      name      = "outboxrelay"
      folder    = "schedulers/outboxrelay"
      kind      = "schedule"
      secrets   = []
      invokers  = ["router", "scheduler"]
      database  = "both"
      resources = { cpu = "1", memory = "256Mi", concurrency = 80, min = 1, max = 5, timeout = "60s" }
    }
  }

  assert {
    condition     = toset([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.name if length(e.value_source) > 0]) == toset(["DATABASE_URL", "SYSTEM_DATABASE_URL"])
    error_message = "A schedule has both roles, and no Redis unless it uses it."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 0 && google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count == 1
    error_message = "An environment that saves has fewer instances."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "PUSH_SERVICE_ACCOUNTS"]) == "push-scheduler@example-prod.iam.gserviceaccount.com"
    error_message = "The router pushes nothing."
  }
}

run "refuses_everyone_without_a_signature" {
  command = plan
  variables {
    function = {
      name      = "tasks"
      folder    = "functions/tasks"
      kind      = "http"
      secrets   = []
      invokers  = ["everyone"]
      database  = "app"
      resources = { cpu = "1", memory = "256Mi", concurrency = 80, min = 0, max = 10, timeout = "30s" }
    }
  }
  expect_failures = [google_cloud_run_v2_service.this]
}

run "refuses_a_tag" {
  command = plan
  variables { image = "europe-west1-docker.pkg.dev/example-prod/images/mailer:latest" }
  expect_failures = [var.image]
}

run "refuses_passwords_in_the_open" {
  command = plan
  variables { env = { DATABASE_URL = "postgres://app:secret@pgbouncer/coditect" } }
  expect_failures = [var.env]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id          = "X"
    project_number      = "example"
    region              = "europe"
    network             = "default"
    subnetwork          = "default"
    network_tag         = "All functions"
    further_tags        = ["Hydra"]
    min_instances_limit = -1
    max_instances_limit = 0
  }
  expect_failures = [var.project_id, var.project_number, var.region, var.network, var.subnetwork, var.network_tag, var.further_tags, var.min_instances_limit, var.max_instances_limit]
}
