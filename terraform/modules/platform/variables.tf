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

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "region" {
  description = "The region."
  type        = string
  default     = "europe-west1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "repository" {
  description = "OWNER/NAME of the repository whose pipeline deploys."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be OWNER/NAME."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's state."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket is a name without gs://."
  }
}

variable "base_domain" {
  description = "The host under which tenants have their subdomains."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}$", var.base_domain))
    error_message = "base_domain is a host: lower-case, without a scheme or a path."
  }
}

variable "app_url" {
  description = "The web application: the one origin that calls the API, and where links of mails lead."
  type        = string

  validation {
    condition     = can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", var.app_url))
    error_message = "app_url is an origin: https and a host, without a path or a slash."
  }
}

variable "mail_from" {
  description = "Whom mails are from."
  type        = string

  validation {
    condition     = can(regex("^([^<>@]+ <[^<>@ ]+@[a-z0-9.-]+>|[^<>@ ]+@[a-z0-9.-]+)$", var.mail_from))
    error_message = "mail_from is an address, or NAME <ADDRESS>."
  }
}

variable "emails" {
  description = "Who is told of alerts."
  type        = list(string)
}

variable "billing_account" {
  description = "The billing account."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is three times six digits of base 16."
  }
}

variable "monthly_budget" {
  description = "What a month may cost."
  type        = number

  validation {
    condition     = var.monthly_budget > 0
    error_message = "monthly_budget is above 0."
  }
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

variable "hydra_public" {
  description = "Whether the load balancer leads to Hydra. False until the cluster was deployed for the first time: it makes the groups of endpoints."
  type        = bool
  default     = true
}

variable "min_instances" {
  description = "Instances of a function that are kept at most, whatever its entry says."
  type        = number
  default     = 1000

  validation {
    condition     = var.min_instances >= 0 && floor(var.min_instances) == var.min_instances
    error_message = "min_instances is 0 or more."
  }
}

variable "max_instances" {
  description = "Instances of a function at most, whatever its entry says."
  type        = number
  default     = 1000

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances is from 1 to 1,000."
  }
}

variable "unused_days" {
  description = "After how many days images that no tag names go, beside the newest ones; null keeps them for as long as others."
  type        = number
  default     = null

  validation {
    condition     = var.unused_days == null ? true : var.unused_days >= 7
    error_message = "Seven days at least."
  }
}

variable "paused" {
  description = "Whether schedules stand still."
  type        = bool
  default     = false
}
