variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "The region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "zones" {
  description = "Three zones: machines of a group are in the first two, etcd in all."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Three zones: two cannot say which of them is cut off."
  }
}

variable "name" {
  description = "The cluster's name."
  type        = string
  default     = "citus"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "name is 30 lower-case letters, digits and hyphens at most, and begins with a letter."
  }
}

variable "subnetwork" {
  description = "The subnet of machines."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnetwork))
    error_message = "subnetwork is projects/PROJECT/regions/REGION/subnetworks/NAME."
  }
}

variable "machines_range" {
  description = "The addresses of machines, which know each other by certificate."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.machines_range))
    error_message = "machines_range is a range of IPv4 addresses."
  }
}

variable "database" {
  description = "The database's name, one on all nodes."
  type        = string
  default     = "coditect"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.database))
    error_message = "A database's name is lower-case letters, digits and underscores."
  }
}

variable "workers" {
  description = "Groups of workers."
  type        = number
  default     = 2

  validation {
    condition     = var.workers >= 1 && var.workers <= 32
    error_message = "1 to 32 workers: there are 32 shards."
  }
}

variable "machine" {
  description = "The machine of a node."
  type        = string
  default     = "n2-highmem-4"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z]+-[0-9]+$", var.machine))
    error_message = "machine is a type like n2-highmem-4."
  }
}

variable "disk_gb" {
  description = "The data disk of a node."
  type        = number
  default     = 500

  validation {
    condition     = var.disk_gb >= 100 && var.disk_gb <= 65536 && floor(var.disk_gb) == var.disk_gb
    error_message = "disk_gb is from 100 to 65,536: a smaller disk is a slower one."
  }
}

variable "image" {
  description = "An image with PostgreSQL, Citus 12 or newer, Patroni 3 or newer, etcd 3.4 or newer, WAL-G, curl and jq, by its full name."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/images/[a-z0-9-]+$", var.image))
    error_message = "image names one image: a family means another one tomorrow."
  }
}

variable "max_connections" {
  description = "Connections of a node."
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
    their max_client_conn, its pools (one for each role) and the size of one; reserved are those of people, migrations and replication.
  EOT
  type = object({
    instances                = map(number)
    connections_per_instance = optional(number, 10)
    poolers                  = optional(number, 2)
    max_client_connections   = optional(number, 10000)
    pools                    = optional(number, 2)
    pool_size                = optional(number, 80)
    reserved                 = optional(number, 50)
  })
}

variable "backup_bucket" {
  description = "Where WAL-G writes backups."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.backup_bucket))
    error_message = "backup_bucket is a name without gs://."
  }
}

variable "snapshots_kept" {
  description = "For how many days snapshots of disks are kept, beside backups."
  type        = number
  default     = 7

  validation {
    condition     = var.snapshots_kept >= 7
    error_message = "Seven days at least."
  }
}

variable "deletion_protection" {
  description = "Whether machines cannot be deleted."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
