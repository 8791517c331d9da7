output "functions" {
  description = "What is deployed: from where each function can be reached, and its account."
  value       = { for name, m in module.function : name => { ingress = m.ingress, service_account = m.service_account, max_instances = m.max_instances } }
}

output "router" {
  description = "The edge."
  value       = { address = module.router.address, ingress = module.router.ingress, dns_authorization = module.router.dns_authorization }
}

output "schedules" {
  description = "The jobs of Cloud Scheduler."
  value       = module.scheduler.jobs
}

output "queues" {
  description = "The queues of Cloud Tasks."
  value       = module.tasks.queues
}

output "subscriptions" {
  description = "The push subscriptions of functions."
  value       = module.pubsub.subscriptions
}

output "connections" {
  description = "The connection budget."
  value       = concat([for m in module.cloudsql : m.connections], [for m in module.citus : m.connections])[0]
}

output "addresses" {
  description = "Addresses that instances may take, during a deployment twice, and what there is."
  value       = { wanted = 2 * (sum([for m in module.function : m.max_instances]) + module.router.max_instances), available = 4092 }

  precondition {
    condition     = 2 * (sum([for m in module.function : m.max_instances]) + module.router.max_instances) <= 4092
    error_message = "More instances than the subnet of functions has addresses for, twice."
  }
}

output "workload_identity_provider" {
  description = "What the pipeline names when it signs in."
  value       = module.project.workload_identity_provider
}
