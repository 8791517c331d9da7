provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "networking" {
  source = "../.."

  project_id = "example-dev"
  region     = "europe-west1"
}
