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
  emails        = ["oncall@example.com"]
  runbooks      = "https://github.com/example/platform/blob/main/docs/runbooks"
}
