provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "networking" {
  source = "../../../networking"

  project_id = "example-dev"
  region     = "europe-west1"
}

module "firewall" {
  source = "../.."

  project_id      = "example-dev"
  network         = module.networking.network
  functions_range = module.networking.functions_range
  machines_range  = module.networking.machines_range
  pods_range      = module.networking.pods_range
  managed_range   = module.networking.managed_range
}
