# The environment staging. What it is given differs from the others; what it consists of
# is modules/platform.

provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}

module "platform" {
  source = "../../modules/platform"

  environment     = "staging"
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

  monthly_budget = 2000
  database       = { tier = "db-custom-2-7680", highly_available = true, disk_gb = 50, max_connections = 200 }
  budget         = { poolers = 2, max_client_connections = 4000, pool_size = 30, direct = 28, reserved = 40 }
  redis          = { memory_gb = 3, highly_available = true }
  cluster = {
    zones      = ["${var.region}-b", "${var.region}-c", "${var.region}-d"]
    pools      = { general = { min = 2, max = 17 }, pooler = { min = 1, max = 3, dedicated = true } }
    blue_green = true
  }
  router        = { min = 1, max = 10 }
  max_instances = 20
}
