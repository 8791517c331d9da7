variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "Where the jobs are."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region is one like europe-west1: no zone, and no part of the world."
  }
}

variable "schedules" {
  description = "The schedules of functions/functions.json, by name; deadline is after which a call is given up, in seconds."
  type        = map(object({ cron = string, timezone = string, url = string, deadline = string }))

  validation {
    condition     = alltrue([for s in values(var.schedules) : startswith(s.url, "https://")])
    error_message = "Functions are called over TLS."
  }
  validation {
    condition     = alltrue([for s in values(var.schedules) : try(tonumber(trimsuffix(s.deadline, "s")) >= 15 && tonumber(trimsuffix(s.deadline, "s")) <= 1800, false)])
    error_message = "Cloud Scheduler waits 15 to 1800 seconds for an answer."
  }
  validation {
    condition     = alltrue([for s in values(var.schedules) : length(split(" ", s.cron)) == 5])
    error_message = "cron has five fields."
  }
}

variable "invoker" {
  description = "The account that calls."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9-]+[.]iam[.]gserviceaccount[.]com$", var.invoker))
    error_message = "invoker is the address of a service account."
  }
}

variable "paused" {
  description = "Whether nothing is called, while a restored database is looked at."
  type        = bool
  default     = false
}
