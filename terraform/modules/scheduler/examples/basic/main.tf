provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "scheduler" {
  source = "../.."

  project_id = "example-dev"
  region     = "europe-west1"
  invoker    = "push-scheduler@example-dev.iam.gserviceaccount.com"
  schedules  = { retention = { cron = "20 2 * * *", timezone = "UTC", url = "https://retention-123456789012.europe-west1.run.app", deadline = "600s" } }
}
