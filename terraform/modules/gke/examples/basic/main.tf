provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "gke" {
  source = "../.."

  project_id          = "example-dev"
  project_number      = "123456789012"
  region              = "europe-west1"
  zones               = ["europe-west1-b"]
  network             = "projects/example-dev/global/networks/coditect"
  subnetwork          = "projects/example-dev/regions/europe-west1/subnetworks/coditect-machines"
  pools               = { general = { min = 1, max = 5 } }
  workloads           = { pgbouncer = "coditect-dev" }
  deletion_protection = false
}
