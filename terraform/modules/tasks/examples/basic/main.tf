provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "tasks" {
  source = "../.."

  project_id = "example-dev"
  region     = "europe-west1"
  enqueuers  = { outboxrelay = "outboxrelay@example-dev.iam.gserviceaccount.com" }
  invoker    = "push-cloudtasks@example-dev.iam.gserviceaccount.com"
  queues     = { mail = { max_attempts = 4, min_backoff = "1s", max_backoff = "300s", max_age = "86400s", rate = 50, concurrency = 20 } }
}
