output "workload_identity_provider" {
  description = "What the pipeline names when it signs in."
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "planner" {
  description = "The account that plans."
  value       = trimprefix(local.planner, "serviceAccount:")
}

output "deployer" {
  description = "The account that applies and deploys."
  value       = trimprefix(local.deployer, "serviceAccount:")
}

output "migrator" {
  description = "The account of the migration job."
  value       = trimprefix(local.migrator, "serviceAccount:")
}

output "attestor" {
  description = "Who signs images."
  value       = google_binary_authorization_attestor.built.name
}

output "signing_key" {
  description = "The key that signs images."
  value       = google_kms_crypto_key.signing.id
}
