variable "project_id" {
  description = "The project."
  type        = string
}

variable "project_number" {
  description = "The project's number."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
  default     = "europe-west1"
}

variable "repository" {
  description = "OWNER/NAME of the repository whose pipeline deploys."
  type        = string
}

variable "state_bucket" {
  description = "The bucket of Terraform's state."
  type        = string
}

variable "base_domain" {
  description = "The host under which tenants have their subdomains."
  type        = string
}

variable "app_url" {
  description = "The web application."
  type        = string
}

variable "mail_from" {
  description = "Whom mails are from."
  type        = string
}

variable "emails" {
  description = "Who is told of alerts."
  type        = list(string)
}

variable "billing_account" {
  description = "The billing account."
  type        = string
}

variable "images" {
  description = "The image, by digest, that each function, the router and the migrations begin with."
  type        = map(string)
}

variable "citus_image" {
  description = "The image of database machines, by its full name."
  type        = string
}
