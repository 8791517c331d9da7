provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "networking" {
  source = "../../../networking"

  project_id = "example-dev"
  region     = "europe-west1"
}

module "cloudsql" {
  source = "../.."

  project_id          = "example-dev"
  region              = "europe-west1"
  network             = module.networking.network
  managed_range_name  = module.networking.managed_range_name
  tier                = "db-f1-micro"
  highly_available    = false
  deletion_protection = false
  disk_gb             = 10
  max_connections     = 50

  budget = {
    instances = { tasks = 5, projects = 5 }
    poolers   = 1
    pool_size = 15
    reserved  = 10
  }
}
