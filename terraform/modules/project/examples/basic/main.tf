provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "project" {
  source = "../.."

  project_id     = "example-dev"
  project_number = "123456789012"
  region         = "europe-west1"
  environment    = "dev"
  repository     = "example/platform"
  state_bucket   = "example-dev-terraform"
}
