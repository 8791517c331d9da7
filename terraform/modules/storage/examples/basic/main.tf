provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "storage" {
  source = "../.."

  project_id     = "example-dev"
  region         = "europe-west1"
  origins        = ["https://app.dev.example.com"]
  object_writers = { attachments = "attachments@example-dev.iam.gserviceaccount.com" }
  unused_days    = 30
}
