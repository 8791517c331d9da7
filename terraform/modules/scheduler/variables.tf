variable "project_id" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Where the jobs are."
  type        = string
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
}

variable "paused" {
  description = "Whether nothing is called, while a restored database is looked at."
  type        = bool
  default     = false
}
