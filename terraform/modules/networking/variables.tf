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

variable "name" {
  description = "What the network and its parts are called."
  type        = string
  default     = "coditect"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,40}[a-z0-9]$", var.name))
    error_message = "name must be lower-case letters, digits and hyphens."
  }
}

variable "functions_range" {
  description = "Addresses of functions. Each instance takes one, during a deployment old and new do."
  type        = string
  default     = "10.0.0.0/20"

  validation {
    condition     = can(cidrhost(var.functions_range, 0)) && can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)", var.functions_range))
    error_message = "functions_range must be a CIDR range of RFC 1918."
  }
  validation {
    condition     = try(tonumber(split("/", var.functions_range)[1]) <= 26, false)
    error_message = "Direct VPC egress needs a /26 at least."
  }
}

variable "machines_range" {
  description = "Addresses of nodes."
  type        = string
  default     = "10.0.16.0/24"

  validation {
    condition     = can(cidrhost(var.machines_range, 0)) && can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)", var.machines_range))
    error_message = "machines_range must be a CIDR range of RFC 1918."
  }
}

variable "pods_range" {
  description = "Addresses of pods: 256 for each of a hundred nodes fit a /17."
  type        = string
  default     = "10.4.0.0/17"

  validation {
    condition     = can(cidrhost(var.pods_range, 0)) && startswith(var.pods_range, "10.")
    error_message = "pods_range must be a CIDR range in 10.0.0.0/8."
  }
}

variable "services_range" {
  description = "Addresses of services in the cluster."
  type        = string
  default     = "10.8.0.0/20"

  validation {
    condition     = can(cidrhost(var.services_range, 0)) && startswith(var.services_range, "10.")
    error_message = "services_range must be a CIDR range in 10.0.0.0/8."
  }
}

variable "managed_range" {
  description = "Addresses of Google's managed databases."
  type        = string
  default     = "10.16.0.0/16"

  validation {
    condition     = can(cidrhost(var.managed_range, 0)) && startswith(var.managed_range, "10.")
    error_message = "managed_range must be a CIDR range in 10.0.0.0/8."
  }
  validation {
    condition     = try(tonumber(split("/", var.managed_range)[1]) <= 20, false)
    error_message = "Private services access wants a /20 at least: each service takes a /24 for each region."
  }
}

variable "internal_domain" {
  description = "The domain of names inside the network, without the dot at the end."
  type        = string
  default     = "coditect.internal"

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.internal_domain))
    error_message = "internal_domain must be a domain without a dot at the end."
  }
}

variable "flow_sampling" {
  description = "The part of flows that is logged."
  type        = number
  default     = 0.1

  validation {
    condition     = var.flow_sampling > 0 && var.flow_sampling <= 1
    error_message = "flow_sampling is above 0 and at most 1: without any, nobody can say afterwards who talked to whom."
  }
}
