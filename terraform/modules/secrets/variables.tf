variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, by which Google names Secret Manager's own account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "region" {
  description = "Where secrets are kept."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "secrets" {
  description = "The secrets: who reads each, and who adds versions, as name = account."
  type = map(object({
    readers = optional(map(string), {})
    writers = optional(map(string), {})
  }))

  validation {
    condition     = alltrue([for n in keys(var.secrets) : can(regex("^[a-z][a-z0-9-]{1,62}$", n))])
    error_message = "A secret's name is lower-case letters, digits and hyphens."
  }
  validation {
    condition     = alltrue(flatten([for s in values(var.secrets) : [for e in concat(values(s.readers), values(s.writers)) : endswith(e, ".gserviceaccount.com")]]))
    error_message = "Only service accounts read secrets: people go through the pipeline or break the glass, which is logged."
  }
}

variable "known" {
  description = "Secrets whose value Terraform knows, with a number that is raised when it changed."
  type        = map(number)
  default     = {}
}

variable "values" {
  description = "Those values. They are written and not kept."
  type        = map(string)
  default     = {}
  sensitive   = true
}

variable "rotation_days" {
  description = "After how many days a secret is announced as due."
  type        = number
  default     = 90

  validation {
    condition     = var.rotation_days >= 1 && var.rotation_days <= 90
    error_message = "Secrets are due after 90 days at the latest."
  }
}

variable "rotation" {
  description = "The function that makes the next version: its address, and the account that calls it."
  type        = object({ url = string, invoker = string })
  default     = null

  validation {
    condition     = var.rotation == null ? true : startswith(var.rotation.url, "https://")
    error_message = "The function is called over TLS."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete secrets."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
