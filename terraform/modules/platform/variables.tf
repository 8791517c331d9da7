variable "environment" {
  description = "dev, staging or production. In production everything is protected from deletion."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "environment must be dev, staging or production."
  }
}

variable "project_id" {
  description = "The project."
  type        = string
}

variable "project_number" {
  description = "The project's number."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
  default     = "europe-west1"
}

variable "repository" {
  description = "OWNER/NAME of the repository whose pipeline deploys."
  type        = string
}

variable "state_bucket" {
  description = "The bucket of Terraform's state."
  type        = string
}

variable "base_domain" {
  description = "The host under which tenants have their subdomains."
  type        = string
}

variable "app_url" {
  description = "The web application: the one origin that calls the API, and where links of mails lead."
  type        = string
}

variable "mail_from" {
  description = "Whom mails are from."
  type        = string
}

variable "emails" {
  description = "Who is told of alerts."
  type        = list(string)
}

variable "billing_account" {
  description = "The billing account."
  type        = string
}

variable "monthly_budget" {
  description = "What a month may cost."
  type        = number
}

variable "images" {
  description = "The image, by digest, that each function, the router and the migrations begin with. The pipeline writes it."
  type        = map(string)
}

variable "database" {
  description = "Cloud SQL's machine; max_connections holds for a node of Citus, too."
  type        = object({ tier = optional(string, "db-custom-4-15360"), highly_available = optional(bool, true), disk_gb = optional(number, 100), max_connections = optional(number, 400) })
  default     = {}
}

variable "citus" {
  description = "The workers and the image of machines; null means that Cloud SQL carries the functions' rows as well."
  type        = object({ workers = number, image = string })
  default     = null
}

variable "budget" {
  description = <<-EOT
    The connection budget, as terraform/kubernetes deploys it (a test compares): PgBouncer's pods with their max_client_conn, the size of one of its two pools, and
    what Hydra's pods open past it; reserved are those of people, migrations and Google's own. Instances follow from functions/functions.json.
  EOT
  type = object({
    connections_per_instance = optional(number, 10)
    poolers                  = number
    max_client_connections   = number
    pools                    = optional(number, 2)
    pool_size                = number
    direct                   = number
    reserved                 = number
  })
}

variable "redis" {
  description = "Redis."
  type        = object({ memory_gb = number, highly_available = bool })
}

variable "cluster" {
  description = "The cluster's zones, in which Citus is, too, and its pools."
  type = object({
    zones      = list(string)
    pools      = map(object({ machine = optional(string, "n2-standard-4"), min = number, max = number, dedicated = optional(bool, false) }))
    blue_green = optional(bool, false)
  })

  validation {
    condition     = alltrue([for z in var.cluster.zones : startswith(z, "${var.region}-")])
    error_message = "The cluster's zones are of the environment's region."
  }
}

variable "router" {
  description = "The router's instances."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 50 }
}

variable "min_instances" {
  description = "Instances of a function that are kept at most, whatever its entry says."
  type        = number
  default     = 1000
}

variable "max_instances" {
  description = "Instances of a function at most, whatever its entry says."
  type        = number
  default     = 1000
}

variable "unused_days" {
  description = "After how many days images that no tag names go, beside the newest ones; null keeps them for as long as others."
  type        = number
  default     = null
}

variable "paused" {
  description = "Whether schedules stand still."
  type        = bool
  default     = false
}
