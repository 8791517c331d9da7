provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "delivery" {
  source = "../.."

  project_id = "example-dev"
  region     = "europe-west1"
  image      = "europe-west1-docker.pkg.dev/example-dev/images/migrate@sha256:${sha256("migrate")}"
  migrator   = "migrator@example-dev.iam.gserviceaccount.com"
  services   = { tasks = "tasks" }
  network    = "projects/example-dev/global/networks/coditect"
  subnetwork = "projects/example-dev/regions/europe-west1/subnetworks/coditect-functions"
}
