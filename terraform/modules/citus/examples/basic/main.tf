provider "google" {
  project = "example-prod"
  region  = "europe-west1"
}

module "citus" {
  source = "../.."

  project_id     = "example-prod"
  region         = "europe-west1"
  zones          = ["europe-west1-b", "europe-west1-c", "europe-west1-d"]
  subnetwork     = "projects/example-prod/regions/europe-west1/subnetworks/coditect-machines"
  image          = "projects/example-prod/global/images/citus-20261101"
  machines_range = "10.0.16.0/24"
  backup_bucket  = "example-prod-backups"
  budget         = { instances = { tasks = 100, projects = 50 } }
}
