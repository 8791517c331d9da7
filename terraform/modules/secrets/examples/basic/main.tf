provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "secrets" {
  source = "../.."

  project_id     = "example-dev"
  project_number = "123456789012"
  region         = "europe-west1"

  secrets = {
    hop-key = {
      readers = { tasks = "tasks@example-dev.iam.gserviceaccount.com" }
      writers = { rotation = "rotation@example-dev.iam.gserviceaccount.com" }
    }
  }
}
