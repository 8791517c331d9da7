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
  description = "The instance's name."
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

variable "memory_gb" {
  description = "Memory."
  type        = number
  default     = 5

  validation {
    condition     = var.memory_gb >= 1 && var.memory_gb <= 300 && floor(var.memory_gb) == var.memory_gb
    error_message = "memory_gb is a whole number from 1 to 300."
  }
}

variable "highly_available" {
  description = "Whether a replica in another zone takes over."
  type        = bool
  default     = true
}

variable "eviction_policy" {
  description = "Which key goes when memory is full."
  type        = string
  default     = "volatile-ttl"

  validation {
    condition     = contains(["volatile-ttl", "volatile-lru"], var.eviction_policy)
    error_message = "eviction_policy must be volatile-ttl or volatile-lru: noeviction refuses writes when full, which turns limits off, and allkeys would choose a revoked session as soon as a cached page."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete it."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
