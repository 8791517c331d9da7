# The environment production. What it is given differs from the others; what it consists of
# is modules/platform.

provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}

module "platform" {
  source = "../../modules/platform"

  environment     = "production"
  project_id      = var.project_id
  project_number  = var.project_number
  region          = var.region
  repository      = var.repository
  state_bucket    = var.state_bucket
  base_domain     = var.base_domain
  app_url         = var.app_url
  mail_from       = var.mail_from
  emails          = var.emails
  billing_account = var.billing_account
  images          = var.images
  hydra_public    = var.hydra_public

  monthly_budget = 10000
  # Citus carries the rows of functions; Cloud SQL has Hydra's, and the size for a
  # return.
  database = { tier = "db-custom-4-15360", highly_available = true, disk_gb = 100, max_connections = 400 }
  citus    = { workers = 2, image = var.citus_image }
  budget   = { poolers = 3, max_client_connections = 4000, pool_size = 50, direct = 84, reserved = 50 }
  redis    = { memory_gb = 5, highly_available = true }
  cluster = {
    zones      = ["${var.region}-b", "${var.region}-c", "${var.region}-d"]
    pools      = { general = { min = 3, max = 94 }, pooler = { min = 2, max = 6, dedicated = true } }
    blue_green = true
  }
  router = { min = 2, max = 50 }
}
