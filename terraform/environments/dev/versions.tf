terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
  }

  # The bucket is made once by hand, with versioning: -backend-config=bucket=NAME.
  backend "gcs" {
    prefix = "dev"
  }
}
