provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "function" {
  source = "../.."

  project_id     = "example-dev"
  project_number = "123456789012"
  region         = "europe-west1"
  network        = "projects/example-dev/global/networks/coditect"
  subnetwork     = "projects/example-dev/regions/europe-west1/subnetworks/coditect-functions"
  image          = "europe-west1-docker.pkg.dev/example-dev/images/tasks@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  timeout        = "30s"
  invokers       = { router = "router@example-dev.iam.gserviceaccount.com" }

  function = {
    name      = "tasks"
    folder    = "functions/tasks"
    kind      = "http"
    secrets   = ["hop-key"]
    invokers  = ["router"]
    database  = "app"
    resources = { cpu = "1", memory = "256Mi", concurrency = 80, min = 0, max = 10, timeout = "30s" }
  }
}
