provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "monitoring" {
  source = "../.."

  project_id    = "example-dev"
  host          = "dev.example.com"
  load_balancer = "edge"
  schedules     = { outboxrelay = 360 }
  dead_letters  = "dead-letters"
  secrets_topic = "secrets-due"
  sql           = { disk_limit_gb = 100, max_connections = 50, highly_available = false }
  emails        = ["oncall@example.com"]
  runbooks      = "https://github.com/example/platform/blob/main/docs/runbooks"
}
