provider "google" {
  project               = "example-dev"
  region                = "europe-west1"
  billing_project       = "example-dev"
  user_project_override = true
}

module "budget" {
  source = "../.."

  billing_account = "000000-000000-000000"
  project_id      = "example-dev"
  project_number  = "123456789012"
  amount          = 500
}
