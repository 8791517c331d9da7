variable "billing_account" {
  description = "The billing account."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is XXXXXX-XXXXXX-XXXXXX."
  }
}

variable "project_id" {
  description = "The project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be 6 to 30 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "project_number" {
  description = "The project's number, by which budgets know it."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be digits."
  }
}

variable "amount" {
  description = "What a month may cost, in whole units."
  type        = number

  validation {
    condition     = var.amount >= 1 && floor(var.amount) == var.amount
    error_message = "amount is a whole number, 1 at least."
  }
}

variable "currency" {
  description = "The billing account's currency."
  type        = string
  default     = "USD"

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.currency))
    error_message = "currency is three capitals, as in ISO 4217."
  }
}

variable "thresholds" {
  description = "At which parts of the amount somebody is told."
  type        = list(number)
  default     = [0.5, 0.8, 1]

  validation {
    condition     = contains(var.thresholds, 1) && alltrue([for t in var.thresholds : t > 0 && t <= 1])
    error_message = "Parts of the amount, the whole among them."
  }
}

variable "notification_channels" {
  description = "Who is told, beside those who administer billing."
  type        = list(string)
  default     = []
}
