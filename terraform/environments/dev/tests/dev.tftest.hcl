mock_provider "google" {
  mock_resource "google_compute_network" {
    defaults = { id = "projects/example/global/networks/coditect" }
  }
  mock_resource "google_compute_subnetwork" {
    defaults = { id = "projects/example/regions/europe-west1/subnetworks/coditect" }
  }
  mock_data "google_kms_crypto_key_version" {
    defaults = { public_key = [{ algorithm = "EC_SIGN_P256_SHA256", pem = "pem" }] }
  }
}

run "list" {
  command = plan
  module { source = "../../modules/platform/tests/list" }
}

run "plan" {
  command = plan

  variables {
    project_id      = "example-dev"
    project_number  = "123456789012"
    repository      = "example/platform"
    state_bucket    = "example-dev-terraform"
    base_domain     = "dev.example.com"
    app_url         = "https://app.dev.example.com"
    mail_from       = "Example <no-reply@example.com>"
    emails          = ["oncall@example.com"]
    billing_account = "012345-6789AB-CDEF01"
    images          = run.list.images

  }

  assert {
    condition     = toset(keys(output.platform.functions)) == toset(run.list.functions)
    error_message = "Every function of functions.json is deployed, and no other."
  }
  assert {
    condition     = toset(output.platform.schedules) == toset(run.list.schedules)
    error_message = "Every schedule has its job."
  }
  assert {
    condition     = keys(output.platform.progress) == keys(run.list.gaps) && alltrue([for name, gap in run.list.gaps : output.platform.progress[name] > gap && output.platform.progress[name] <= gap + 43200])
    error_message = "Every schedule is watched for silence, for longer than the gap between two runs and half a day more at most."
  }
  assert {
    condition     = !contains(output.platform.alerts, "sql-standby") && contains(output.platform.alerts, "sql-down")
    error_message = "What is there of databases is watched."
  }
  assert {
    condition     = toset(output.platform.queues) == toset(run.list.queues)
    error_message = "Every queue is there."
  }
  assert {
    condition     = toset(output.platform.subscriptions) == toset(run.list.subscriptions)
    error_message = "Every listener has its subscription."
  }
  assert {
    condition     = alltrue([for name, f in output.platform.functions : f.ingress == (contains(run.list.open, name) ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : "INGRESS_TRAFFIC_INTERNAL_ONLY")])
    error_message = "Functions are reached from inside, webhooks by the load balancer."
  }
  assert {
    condition = jsonencode(output.platform.sizes) == jsonencode({
      cluster     = { zones = 1, min_nodes = 1, max_nodes = 5, blue_green = false }
      database    = { tier = "db-f1-micro", highly_available = false }
      citus       = null
      redis       = { memory_gb = 1, highly_available = false }
      budget      = 500
      unused_days = 30
    })
    error_message = "The environment has the size that docs/infrastructure.md says."
  }
  assert {
    condition     = jsonencode(output.platform.access) == run.list.access
    error_message = "Functions may what terraform/access.json says, and nothing else."
  }
  assert {
    condition     = output.platform.delivery == { jobs = ["migrate", "smoke"], releases = "example-dev-releases" }
    error_message = "A release finds its jobs and its note."
  }
  assert {
    condition     = alltrue([for part, on in output.platform.protected : on == false])
    error_message = "What is not production can be taken down."
  }
  assert {
    condition     = output.platform.hydra == { public = "https://oauth.dev.example.com", admin = "https://hydra.coditect.internal:4445" }
    error_message = "Browsers find Hydra at its own host, and its administration is inside."
  }
  assert {
    condition     = contains(output.platform.checks, "https://oauth.dev.example.com/.well-known/openid-configuration") && contains(output.platform.checks, "https://dev.example.com/health/")
    error_message = "Hydra is asked from outside, as the router is."
  }
  assert {
    condition     = [for name, f in output.platform.access : name if contains(f.may, "administer Hydra")] == ["auth"]
    error_message = "Hydra's administration is reached by the function that signs people in, and by no other."
  }
  assert {
    condition     = alltrue([for s in ["hydra-config", "hydra-certificate", "hydra-key"] : output.platform.secrets[s] == tolist(["gke-hydra"])])
    error_message = "Hydra's secrets are for its pods only."
  }
  assert {
    condition     = try(length(output.platform.secrets["oidc-client-secret"]) == 0, false)
    error_message = "The secret of our client at Hydra is there, for functions that name it and for nobody else."
  }
  assert {
    condition     = length(distinct([for f in output.platform.functions : f.service_account])) == length(output.platform.functions)
    error_message = "No two functions share an account."
  }
  assert {
    condition     = output.platform.router.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "The router is reached by the load balancer only."
  }
  assert {
    condition     = output.platform.connections.pooler.wanted <= output.platform.connections.pooler.available && output.platform.connections.clients.wanted <= output.platform.connections.clients.available && output.platform.connections.managed.wanted <= output.platform.connections.managed.available
    error_message = "Connections fit."
  }
  assert {
    condition     = output.platform.addresses.wanted <= output.platform.addresses.available
    error_message = "Instances fit the subnet."
  }
}

run "refuses_nonsense" {
  command = plan
  variables {
    emails          = ["oncall@example.com"]
    images          = run.list.images
    project_id      = "X"
    project_number  = "example"
    region          = "europe"
    repository      = "example"
    state_bucket    = "gs://state"
    base_domain     = "https://example.com"
    app_url         = "https://app.example.com/"
    mail_from       = "Example"
    billing_account = "example"
  }
  expect_failures = [var.project_id, var.project_number, var.region, var.repository, var.state_bucket, var.base_domain, var.app_url, var.mail_from, var.billing_account]
}
