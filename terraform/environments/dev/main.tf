# The environment dev. What it is given differs from the others; what it consists of
# is modules/platform.

provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}

module "platform" {
  source = "../../modules/platform"

  environment     = "dev"
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

  monthly_budget = 500
  database       = { tier = "db-f1-micro", highly_available = false, disk_gb = 10, max_connections = 50 }
  budget         = { poolers = 1, max_client_connections = 4000, pool_size = 10, direct = 12, reserved = 10 }
  redis          = { memory_gb = 1, highly_available = false }
  cluster        = { zones = ["${var.region}-b"], pools = { general = { min = 1, max = 5 } } }
  router         = { min = 1, max = 3 }
  min_instances  = 0
  max_instances  = 5
  unused_days    = 30
}
