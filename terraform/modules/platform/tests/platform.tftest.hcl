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

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "list" {
  command = plan
  module { source = "./tests/list" }
}

run "refuses_nonsense" {
  command = plan
  variables {
    environment     = "dev"
    emails          = ["oncall@example.com"]
    images          = run.list.images
    redis           = { memory_gb = 1, highly_available = false }
    cluster         = { zones = ["europe-b"], pools = { general = { min = 1, max = 5 } } }
    budget          = { poolers = 1, max_client_connections = 4000, pool_size = 10, direct = 12, reserved = 10 }
    project_id      = "X"
    project_number  = "example"
    region          = "europe"
    repository      = "example"
    state_bucket    = "gs://state"
    base_domain     = "https://example.com"
    app_url         = "https://app.example.com/"
    mail_from       = "Example"
    billing_account = "example"
    monthly_budget  = 0
    min_instances   = -1
    max_instances   = 0
    unused_days     = 1
  }
  expect_failures = [var.project_id, var.project_number, var.region, var.repository, var.state_bucket, var.base_domain, var.app_url, var.mail_from, var.billing_account, var.monthly_budget, var.min_instances, var.max_instances, var.unused_days]
}
