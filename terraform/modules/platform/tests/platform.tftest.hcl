mock_provider "google" {
  mock_data "google_kms_crypto_key_version" {
    defaults = { public_key = [{ algorithm = "EC_SIGN_P256_SHA256", pem = "pem" }] }
  }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}
