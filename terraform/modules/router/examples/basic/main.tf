provider "google" {
  project = "example-dev"
  region  = "europe-west1"
}

module "router" {
  source = "../.."

  project_id  = "example-dev"
  region      = "europe-west1"
  environment = "dev"
  base_domain = "dev.example.com"
  origins     = ["https://app.dev.example.com"]
  image       = "europe-west1-docker.pkg.dev/example-dev/images/router@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  upstreams   = { tasks = "https://tasks-123456789012.europe-west1.run.app" }
  relay_url   = "https://outboxrelay-123456789012.europe-west1.run.app"
  network     = "projects/example-dev/global/networks/coditect"
  subnetwork  = "projects/example-dev/regions/europe-west1/subnetworks/coditect-functions"
}
