variable "project_id" {
  description = "The project."
  type        = string
}

variable "name" {
  description = "What the rules' names begin with."
  type        = string
  default     = "coditect"
}

variable "network" {
  description = "The network."
  type        = string
}

variable "functions_range" {
  description = "Addresses of functions."
  type        = string
}

variable "machines_range" {
  description = "Addresses of nodes."
  type        = string
}

variable "pods_range" {
  description = "Addresses of pods."
  type        = string
}

variable "managed_range" {
  description = "Addresses of managed databases."
  type        = string
}

variable "control_plane_range" {
  description = "Addresses of the cluster's control plane; null where it has none of its own."
  type        = string
  default     = null
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
    pooler   = optional(string, "6432")
    postgres = optional(string, "5432")
    redis    = optional(string, "6378")
    patroni  = optional(string, "8008")
  })
  default = {}

  validation {
    condition     = alltrue([for p in values(var.ports) : can(regex("^[1-9][0-9]{0,4}$", p))])
    error_message = "Each is one port: a range would open more than one service."
  }
}
