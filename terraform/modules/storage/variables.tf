variable "project_id" {
  description = "The project. Buckets are named after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "Where everything is kept."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "origins" {
  description = "Web origins whose pages upload and download by signed links."
  type        = list(string)

  validation {
    condition     = length(var.origins) > 0 && alltrue([for o in var.origins : can(regex("^https://[a-z0-9.-]+$", o))])
    error_message = "Origins are https://HOST, without a pattern."
  }
}

variable "object_writers" {
  description = "Accounts that make, read and delete objects, as name = account."
  type        = map(string)
  default     = {}
}

variable "backup_writers" {
  description = "Accounts that make and read backups."
  type        = map(string)
  default     = {}
}

variable "image_readers" {
  description = "Accounts that run images: of the cluster's nodes. Cloud Run's own reads within the project."
  type        = map(string)
  default     = {}
}

variable "backup_days" {
  description = "How long a backup cannot be deleted."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_days >= 7
    error_message = "Backups are kept for seven days at least."
  }
}

variable "unused_days" {
  description = "After how many days images that no tag names go, beside the newest 20 of a name; null keeps them for 180, as others."
  type        = number
  default     = null

  validation {
    condition     = var.unused_days == null ? true : var.unused_days >= 7
    error_message = "Seven days at least."
  }
}

variable "access_log_bucket" {
  description = "Where access to objects is logged, if anywhere beside the audit log."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket is a name without gs://."
  }
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
