provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "networking" {
  source = "../../../networking"

  project_id = "example-dev"
  region     = "europe-west1"
}

module "redis" {
  source = "../.."

  project_id          = "example-dev"
  region              = "europe-west1"
  network             = module.networking.network
  managed_range_name  = module.networking.managed_range_name
  memory_gb           = 1
  highly_available    = false
  deletion_protection = false
}
