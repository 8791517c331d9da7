variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, by which Google names Pub/Sub's own account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "region" {
  description = "Where messages are kept."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "consumers" {
  description = "The functions that listen, by name: topic, address, and how a failure is tried again."
  type = map(object({
    topic        = string
    url          = string
    ordering     = bool
    max_attempts = number
    min_backoff  = string
    max_backoff  = string
    ack_seconds  = number
  }))

  validation {
    condition     = alltrue([for c in values(var.consumers) : startswith(c.url, "https://")])
    error_message = "Functions are called over TLS."
  }
  validation {
    condition     = alltrue([for c in values(var.consumers) : c.ack_seconds >= 10 && c.ack_seconds <= 600])
    error_message = "Pub/Sub waits 10 to 600 seconds for an answer."
  }
  validation {
    condition     = alltrue([for c in values(var.consumers) : c.max_attempts >= 5 && c.max_attempts <= 100])
    error_message = "Pub/Sub tries 5 to 100 times."
  }
}

variable "publishers" {
  description = "The accounts that publish, as name = account."
  type        = map(string)
}

variable "invoker" {
  description = "The account that messages are pushed as."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", var.invoker))
    error_message = "invoker is the address of a service account."
  }
}

variable "labels" {
  description = "Labels."
  type        = map(string)
  default     = {}
}
