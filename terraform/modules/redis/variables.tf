variable "project_id" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "name" {
  description = "The instance's name."
  type        = string
  default     = "coditect"
}

variable "network" {
  description = "The network in which it has its address."
  type        = string
}

variable "managed_range_name" {
  description = "The name of the range that the address comes from."
  type        = string
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
