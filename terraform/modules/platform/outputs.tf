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

output "progress" {
  description = "Within how many seconds each schedule must have been answered well, or somebody is told."
  value       = module.monitoring.progress
}

output "hydra" {
  description = "Hydra: where browsers find it, and by which name its administration is reached inside."
  value       = { public = module.router.oauth_url, admin = "https://${module.networking.hydra_host}:${module.firewall.ports.hydra_admin}" }
}

output "secrets" {
  description = "Who reads each secret beside functions, of which `access` tells."
  value       = module.secrets.readers
}

output "alerts" {
  description = "What is watched of the stores."
  value       = module.monitoring.alerts
}

output "checks" {
  description = "What is asked from outside, and somebody told of when it does not answer."
  value       = module.monitoring.checks
}

output "zones" {
  description = "Where the cluster and, if there is one, Citus are."
  value       = { cluster = var.cluster.zones, citus = flatten([for m in module.citus : m.zones]) }
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
  description = "The connection budget: of the functions' database, and of the managed instance."
  value       = merge(concat([for m in module.citus : m.connections], [module.cloudsql.connections])[0], { managed = module.cloudsql.connections.pooler })
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

# terraform/access.json says the same from functions/functions.json and deps.txt;
# the environments' tests compare.
output "access" {
  description = "What each function's account may, and who may call it."
  value = { for name, m in module.function : name => {
    account = split("@", m.service_account)[0]
    callers = [for c in m.callers : split("@", c)[0]]
    may = sort(concat(
      contains(module.storage.object_writers, name) && contains(keys(google_service_account_iam_member.signs), name) ? ["use objects"] : [],
      contains(module.tasks.enqueuers, name) ? ["make tasks"] : [],
      contains(module.pubsub.publishers, m.service_account) ? ["publish"] : [],
      name == local.rotation && length(google_secret_manager_secret_iam_member.rotation) > 0 ? ["add versions of its keys"] : [],
      contains(keys(google_cloud_run_v2_service_iam_member.nudge), name) ? ["call the relay"] : [],
      contains(m.tags, module.firewall.tags.signin) ? ["administer Hydra"] : [],
    ))
    secrets = m.secrets
  } }
}

output "delivery" {
  description = "What a release needs: its jobs, and the bucket of the note of what runs."
  value       = { jobs = module.delivery.jobs, releases = module.delivery.releases }
}

output "protected" {
  description = "Whether each part is protected from deletion."
  value = {
    database  = concat([for m in module.citus : m.deletion_protection], [module.cloudsql.deletion_protection])[0]
    managed   = module.cloudsql.deletion_protection
    redis     = module.redis.deletion_protection
    cluster   = module.gke.deletion_protection
    router    = module.router.deletion_protection
    secrets   = module.secrets.deletion_protection
    functions = alltrue([for m in module.function : m.deletion_protection])
    jobs      = module.delivery.deletion_protection
  }
}

output "sizes" {
  description = "What the environments differ in."
  value = {
    cluster     = module.gke.size
    database    = module.cloudsql.size
    citus       = one([for m in module.citus : m.size])
    redis       = module.redis.size
    budget      = module.budget.amount
    unused_days = var.unused_days
  }
}
