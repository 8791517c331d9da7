variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "Where the queues are."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "queues" {
  description = "The queues of functions/functions.json, by name; durations in seconds."
  type = map(object({
    max_attempts = number
    min_backoff  = string
    max_backoff  = string
    max_age      = string
    rate         = number
    concurrency  = number
  }))

  validation {
    condition     = alltrue([for q in values(var.queues) : q.rate > 0 && q.rate <= 500])
    error_message = "A queue hands out up to 500 tasks a second."
  }
  validation {
    condition     = alltrue([for q in values(var.queues) : q.max_attempts >= 1])
    error_message = "max_attempts is 1 at least: without an end a poisoned task is tried for ever."
  }
  validation {
    condition     = alltrue(flatten([for q in values(var.queues) : [for d in [q.min_backoff, q.max_backoff, q.max_age] : can(regex("^[1-9][0-9]*s$", d))]]))
    error_message = "Durations are in seconds, as 60s."
  }
}

variable "enqueuers" {
  description = "The accounts that make tasks, as name = account."
  type        = map(string)
}

variable "invoker" {
  description = "The account that tasks are called as."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", var.invoker))
    error_message = "invoker is the address of a service account."
  }
}
