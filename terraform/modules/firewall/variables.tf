variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "name" {
  description = "What the rules' names begin with."
  type        = string
  default     = "coditect"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "name is 30 lower-case letters, digits and hyphens at most, and begins with a letter."
  }
}

variable "network" {
  description = "The network."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network))
    error_message = "network is projects/PROJECT/global/networks/NAME."
  }
}

variable "functions_range" {
  description = "Addresses of functions."
  type        = string

  validation {
    condition     = can(cidrhost(var.functions_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.functions_range))
    error_message = "functions_range is a private range, ADDRESS/BITS."
  }
}

variable "machines_range" {
  description = "Addresses of nodes."
  type        = string

  validation {
    condition     = can(cidrhost(var.machines_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.machines_range))
    error_message = "machines_range is a private range, ADDRESS/BITS."
  }
}

variable "pods_range" {
  description = "Addresses of pods."
  type        = string

  validation {
    condition     = can(cidrhost(var.pods_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.pods_range))
    error_message = "pods_range is a private range, ADDRESS/BITS."
  }
}

variable "managed_range" {
  description = "Addresses of managed databases."
  type        = string

  validation {
    condition     = can(cidrhost(var.managed_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.managed_range))
    error_message = "managed_range is a private range, ADDRESS/BITS."
  }
}

variable "control_plane_range" {
  description = "Addresses of the cluster's control plane; null where it has none of its own."
  type        = string
  default     = null

  validation {
    condition     = var.control_plane_range == null ? true : can(cidrhost(var.control_plane_range, 0)) && can(regex("^(10[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|192[.]168[.])", var.control_plane_range))
    error_message = "control_plane_range is a private range, ADDRESS/BITS."
  }
}

variable "citus" {
  description = "Whether the functions' rows are in a database of ours (Citus on machines) or in Cloud SQL."
  type        = bool
  default     = false
}

variable "tags" {
  description = "The network tags of the roles."
  type = object({
    functions = optional(string, "functions")
    signin    = optional(string, "signin")
    migrator  = optional(string, "migrator")
    cluster   = optional(string, "cluster")
    database  = optional(string, "database")
    consensus = optional(string, "consensus")
  })
  default = {}

  validation {
    condition     = length(distinct(values(var.tags))) == length(values(var.tags))
    error_message = "Two roles of one tag would share their rules."
  }
}

variable "ports" {
  description = "The ports. Redis with TLS listens on 6378; 6379, without, stays shut."
  type = object({
    pooler      = optional(string, "6432")
    postgres    = optional(string, "5432")
    redis       = optional(string, "6378")
    patroni     = optional(string, "8008")
    hydra       = optional(string, "4444")
    hydra_admin = optional(string, "4445")
  })
  default = {}

  validation {
    condition     = alltrue([for p in values(var.ports) : can(regex("^[1-9][0-9]{0,4}$", p))])
    error_message = "Each is one port: a range would open more than one service."
  }
}
