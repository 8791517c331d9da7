provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "pubsub" {
  source = "../.."

  project_id     = "example-dev"
  project_number = "123456789012"
  region         = "europe-west1"
  publishers     = { outboxrelay = "outboxrelay@example-dev.iam.gserviceaccount.com" }
  invoker        = "push-pubsub@example-dev.iam.gserviceaccount.com"

  consumers = {
    membersync = {
      topic        = "events", url = "https://membersync-123456789012.europe-west1.run.app", ordering = false
      max_attempts = 20, min_backoff = "10s", max_backoff = "600s", ack_seconds = 60
    }
  }
}
