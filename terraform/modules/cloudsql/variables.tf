variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "The region, of the backups too."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "name" {
  description = "The instance's name. One that was deleted is taken for a week."
  type        = string
  default     = "coditect"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "name is 30 lower-case letters, digits and hyphens at most, and begins with a letter."
  }
}

variable "network" {
  description = "The network in which it has its address."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network))
    error_message = "network is projects/PROJECT/global/networks/NAME."
  }
}

variable "managed_range_name" {
  description = "The name of the range that the address comes from."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.managed_range_name))
    error_message = "managed_range_name is a name, not the range."
  }
}

variable "tier" {
  description = "The machine."
  type        = string
  default     = "db-custom-4-15360"

  validation {
    condition     = can(regex("^db-(f1-micro|g1-small|custom-[1-9][0-9]*-[1-9][0-9]*)$", var.tier))
    error_message = "tier must be db-f1-micro, db-g1-small or db-custom-CPUS-MEGABYTES."
  }
}

variable "highly_available" {
  description = "Whether a standby waits in another zone."
  type        = bool
  default     = true
}

variable "disk_gb" {
  description = "The disk at the beginning. It grows."
  type        = number
  default     = 100

  validation {
    condition     = var.disk_gb >= 10
    error_message = "disk_gb is 10 at least."
  }
}

variable "disk_limit_gb" {
  description = "What the disk may grow to."
  type        = number
  default     = 2000

  validation {
    condition     = var.disk_limit_gb > 0
    error_message = "disk_limit_gb must be above 0: 0 means no limit, and a runaway fills the bill."
  }
}

variable "backups_kept" {
  description = "How many daily backups are kept, and for how many days every moment can be restored."
  type        = number
  default     = 7

  validation {
    condition     = var.backups_kept >= 7
    error_message = "Seven daily backups at least."
  }
}

variable "max_connections" {
  description = "Connections of the instance."
  type        = number
  default     = 400

  validation {
    condition     = var.max_connections >= 25 && var.max_connections <= 10000 && floor(var.max_connections) == var.max_connections
    error_message = "max_connections is from 25 to 10,000: each is a process."
  }
}

variable "budget" {
  description = <<-EOT
    What the connections go to: instances of each function that uses the database, the connections of one of them (DATABASE_MAX_CONNS), replicas of PgBouncer with
    their max_client_conn, its pools (one for each role) and the size of one, and what goes past it (direct: Hydra); reserved are those of people, migrations and Google's own.
  EOT
  type = object({
    instances                = map(number)
    connections_per_instance = optional(number, 10)
    poolers                  = optional(number, 2)
    max_client_connections   = optional(number, 10000)
    pools                    = optional(number, 2)
    pool_size                = optional(number, 80)
    direct                   = optional(number, 0)
    reserved                 = optional(number, 50)
  })
}

variable "flags" {
  description = "Further flags of the database."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.flags), ["max_connections", "cloudsql.iam_authentication"])) == 0
    error_message = "max_connections has a variable of its own, which the budget is held against."
  }
}

variable "deletion_protection" {
  description = "Whether neither Terraform nor the console can delete it."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
