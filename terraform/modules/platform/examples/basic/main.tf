provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

locals {
  functions = jsondecode(file("${path.module}/../../../../../functions/functions.json")).functions
}

module "platform" {
  source = "../.."

  environment     = "dev"
  project_id      = "example-dev"
  project_number  = "123456789012"
  repository      = "example/platform"
  state_bucket    = "example-dev-terraform"
  base_domain     = "dev.example.com"
  app_url         = "https://app.dev.example.com"
  mail_from       = "Example <no-reply@dev.example.com>"
  emails          = ["oncall@example.com"]
  billing_account = "000000-000000-000000"
  monthly_budget  = 500
  images          = { for name in concat(local.functions[*].name, ["router", "migrate"]) : name => "europe-west1-docker.pkg.dev/example-dev/images/${name}@sha256:${sha256(name)}" }
  database        = { tier = "db-f1-micro", highly_available = false, disk_gb = 10, max_connections = 50 }
  budget          = { poolers = 1, max_client_connections = 4000, pool_size = 10, direct = 12, reserved = 10 }
  redis           = { memory_gb = 1, highly_available = false }
  cluster         = { zones = ["europe-west1-b"], pools = { general = { min = 1, max = 5 } } }
  max_instances   = 5
}
