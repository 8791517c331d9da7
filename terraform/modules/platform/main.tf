# An environment: every module, wired. What is deployed is functions/functions.json
# and nothing else: a function that is entered there is here with the next plan.
# What a function may beyond its entry follows from what it links (deps.txt): who
# links the client of the object store may use objects, and nobody else.

locals {
  root  = "${path.module}/../../.."
  all   = { for f in jsondecode(file("${local.root}/functions/functions.json")).functions : f.name => f }
  links = { for name, f in local.all : name => flatten(regexall("(?m)^github\\.com/coditect/platform/shared/(\\S+)$", file("${local.root}/${f.folder}/deps.txt"))) }

  production = var.environment == "production"
  labels     = { environment = var.environment, managed-by = "terraform" }
  units      = { s = 1, m = 60, h = 3600 }
  address    = { for name in keys(local.all) : name => "https://${name}-${var.project_number}.${var.region}.run.app" }
  api        = "https://${var.base_domain}"

  push = { for kind in ["cloudtasks", "pubsub", "scheduler"] : kind => "${google_service_account.push[kind].account_id}@${var.project_id}.iam.gserviceaccount.com" }

  relay     = one([for name, l in local.links : name if contains(l, "queue/tasks")])
  rotation  = one([for name, l in local.links : name if contains(l, "secrets/manager")])
  databases = { for name, f in local.all : name => min(f.resources.max, var.max_instances) if f.database != "none" }
  budget    = merge(var.budget, { instances = local.databases })
  # Beside Citus the managed instance is Hydra's alone: no function, no pooler.
  managed_budget = merge(local.budget, {
    instances = { for name, n in local.databases : name => n if var.citus == null }
    poolers   = var.citus == null ? var.budget.poolers : 0
  })

  # The longest time between two runs, in seconds: minutes of the day at which one
  # begins, and the widest gap of them and of the next day's first. Where days are
  # named, too, a week, or a month.
  cron  = { for name, f in local.all : name => split(" ", f.cron) if f.kind == "schedule" }
  times = { for name, c in local.cron : name => sort(flatten([for h in local.hours[name] : [for m in local.minutes[name] : format("%04d", h * 60 + m)]])) }
  hours = { for name, c in local.cron : name => c[1] == "*" ? range(24) : startswith(c[1], "*/") ? range(0, 24, tonumber(trimprefix(c[1], "*/"))) : [for h in split(",", c[1]) : tonumber(h)] }
  minutes = { for name, c in local.cron : name =>
  c[0] == "*" ? range(60) : startswith(c[0], "*/") ? range(0, 60, tonumber(trimprefix(c[0], "*/"))) : [for m in split(",", c[0]) : tonumber(m)] }
  gap = { for name, c in local.cron : name =>
    slice(c, 2, 5) == tolist(["*", "*", "*"]) ? 60 * max([for i, t in local.times[name] : tonumber(t) - (i == 0 ? tonumber(local.times[name][length(local.times[name]) - 1]) - 1440 : tonumber(local.times[name][i - 1]))]...) :
  slice(c, 2, 4) == tolist(["*", "*"]) ? 604800 : 2678400 }
  lateness = { for name, f in local.all : name => local.units[substr(f.max_lateness, -1, 1)] * tonumber(substr(f.max_lateness, 0, length(f.max_lateness) - 1)) if f.kind == "schedule" }

  # Who is told of new messages by the relay's address: what leaves some after its
  # answer was given by nobody else. A nudge is signed with the hop's key.
  nudgers = toset([for name, f in local.all : name if contains(local.links[name], "nudge") && contains(f.secrets, "hop-key") && name != local.rotation])

  # Who signs people in: it makes our tokens and is asked by clients. Hydra leaves to it
  # who somebody is, so it alone reaches Hydra's administration, which asks for no password.
  signin = one([for name, f in local.all : name if f.kind == "http" && contains(f.secrets, "signing-keys")])
  # Named by the annotation of Hydra's service (terraform/kubernetes/base/hydra.yaml).
  hydra_groups = [for zone in var.cluster.zones : "projects/${var.project_id}/zones/${zone}/networkEndpointGroups/coditect-hydra"]

  # What the pods of the cluster mount (terraform/kubernetes).
  cluster_secrets = {
    hydra-config          = "hydra"
    hydra-certificate     = "hydra"
    hydra-key             = "hydra"
    pgbouncer-userlist    = "pgbouncer"
    pgbouncer-databases   = "pgbouncer"
    pgbouncer-certificate = "pgbouncer"
    pgbouncer-key         = "pgbouncer"
    database-ca           = "pgbouncer"
  }

  # What the machines of the database read: see the citus module.
  machine_secrets = var.citus == null ? [] : ["database-ca", "citus-certificate", "citus-key", "citus-superuser-password", "citus-replication-password"]

  # Beside what the list names: addresses of the databases, Redis, authorities of
  # certificates, and what is not a function's. The secret of our own client at Hydra
  # is read by whose entry of the list names it.
  secrets = toset(concat(
    flatten([for f in values(local.all) : f.secrets]),
    ["database-url", "system-database-url", "migrate-database-url", "database-ca", "redis-url", "redis-ca", "hop-key", "oidc-client-secret"],
    keys(local.cluster_secrets),
    local.machine_secrets,
  ))
}

module "project" {
  source = "../project"

  project_id     = var.project_id
  project_number = var.project_number
  region         = var.region
  environment    = var.environment
  repository     = var.repository
  state_bucket   = var.state_bucket
}

module "networking" {
  source = "../networking"

  project_id = var.project_id
  region     = var.region
  depends_on = [module.project]
}

module "firewall" {
  source = "../firewall"

  project_id          = var.project_id
  network             = module.networking.network
  functions_range     = module.networking.functions_range
  machines_range      = module.networking.machines_range
  pods_range          = module.networking.pods_range
  managed_range       = module.networking.managed_range
  control_plane_range = "10.0.17.0/28"
  citus               = var.citus != null
}

# In every environment: Hydra's database is here, and the functions' where there is
# no Citus.
module "cloudsql" {
  source = "../cloudsql"

  project_id          = var.project_id
  region              = var.region
  network             = module.networking.network
  managed_range_name  = module.networking.managed_range_name
  tier                = var.database.tier
  highly_available    = var.database.highly_available
  disk_gb             = var.database.disk_gb
  max_connections     = var.database.max_connections
  budget              = local.managed_budget
  deletion_protection = local.production
  labels              = local.labels
}

module "citus" {
  source = "../citus"
  count  = var.citus == null ? 0 : 1

  project_id          = var.project_id
  region              = var.region
  zones               = var.cluster.zones
  subnetwork          = module.networking.machines_subnetwork
  workers             = var.citus.workers
  image               = var.citus.image
  machines_range      = module.networking.machines_range
  max_connections     = var.database.max_connections
  budget              = local.budget
  backup_bucket       = "${var.project_id}-backups"
  deletion_protection = local.production
  labels              = local.labels
}

module "redis" {
  source = "../redis"

  project_id          = var.project_id
  region              = var.region
  network             = module.networking.network
  managed_range_name  = module.networking.managed_range_name
  memory_gb           = var.redis.memory_gb
  highly_available    = var.redis.highly_available
  deletion_protection = local.production
  labels              = local.labels
}

module "gke" {
  source = "../gke"

  project_id          = var.project_id
  project_number      = var.project_number
  region              = var.region
  zones               = var.cluster.zones
  network             = module.networking.network
  subnetwork          = module.networking.machines_subnetwork
  pools               = var.cluster.pools
  workloads           = { pgbouncer = "coditect-${var.environment}", hydra = "coditect-${var.environment}" }
  blue_green          = var.cluster.blue_green
  deletion_protection = local.production
  labels              = local.labels
}

# Who calls functions: an account for each kind of caller.
resource "google_service_account" "push" {
  for_each = toset(["cloudtasks", "pubsub", "scheduler"])

  project      = var.project_id
  account_id   = "push-${each.value}"
  display_name = "Calls functions for ${each.value}"
}

module "function" {
  source   = "../function"
  for_each = local.all

  project_id     = var.project_id
  project_number = var.project_number
  region         = var.region
  function       = each.value
  image          = lookup(var.images, each.key, "")
  invokers       = merge(local.push, { router = module.router.service_account })
  network        = module.networking.network
  subnetwork     = module.networking.functions_subnetwork
  further_tags   = each.key == local.signin ? [module.firewall.tags.signin] : []
  timeout        = "${local.units[substr(each.value.resources.timeout, -1, 1)] * tonumber(substr(each.value.resources.timeout, 0, length(each.value.resources.timeout) - 1))}s"
  redis          = contains(local.links[each.key], "cache")
  secret_ids     = module.secrets.ids

  env = merge({
    DEPLOYMENT_ENVIRONMENT = var.environment
    OTEL_SERVICE_NAME      = each.key
    TOKEN_ISSUER           = local.api
    JWKS_URL               = "${local.api}/.well-known/jwks.json"
    APP_URL                = var.app_url
    API_URL                = local.api
    }, contains(local.links[each.key], "blob") ? { OBJECTS_URL = module.storage.objects_url } : {},
    contains(local.links[each.key], "mail") ? { MAIL_FROM = var.mail_from } : {},
    contains(local.nudgers, each.key) ? { RELAY_URL = local.address[local.relay] } : {},
    contains(local.links[each.key], "queue/tasks") ? {
      TASKS_LOCATION       = var.region
      PUSH_SERVICE_ACCOUNT = local.push["cloudtasks"]
      FUNCTION_URL         = "https://{name}-${var.project_number}.${var.region}.run.app"
  } : {})

  min_instances_limit = var.min_instances
  max_instances_limit = var.max_instances
  deletion_protection = local.production
  labels              = local.labels
}

# Background work tells the relay of what it leaves, as the router does.
resource "google_cloud_run_v2_service_iam_member" "nudge" {
  for_each = { for name, m in module.function : name => m.service_account if contains(local.nudgers, name) }

  project  = var.project_id
  location = var.region
  name     = module.function[local.relay].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.value}"
}

# Links to objects are signed as the function itself, by the IAM API.
resource "google_service_account_iam_member" "signs" {
  for_each = { for name, l in local.links : name => module.function[name].service_account if contains(l, "blob") }

  service_account_id = "projects/${var.project_id}/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:${each.value}"
}

module "router" {
  source = "../router"

  project_id          = var.project_id
  region              = var.region
  environment         = var.environment
  base_domain         = var.base_domain
  origins             = [var.app_url]
  image               = lookup(var.images, "router", "")
  upstreams           = { for name, f in local.all : name => local.address[name] if f.kind == "http" && contains(f.invokers, "router") }
  relay_url           = local.address[local.relay]
  webhooks            = { for name, f in local.all : name => { service = name, path = "/api/v1/webhooks/${trimsuffix(name, "webhook")}/" } if contains(f.invokers, "everyone") }
  hydra_groups        = var.hydra_public ? local.hydra_groups : []
  network             = module.networking.network
  subnetwork          = module.networking.functions_subnetwork
  min_instances       = var.router.min
  max_instances       = var.router.max
  env                 = { TOKEN_ISSUER = local.api, JWKS_URL = "${local.address["auth"]}/.well-known/jwks.json" }
  secret_ids          = module.secrets.ids
  deletion_protection = local.production
  labels              = local.labels
}

module "secrets" {
  source = "../secrets"

  project_id     = var.project_id
  project_number = var.project_number
  region         = var.region
  secrets = { for s in local.secrets : s => {
    readers = merge(
      contains(["hop-key", "redis-url", "redis-ca"], s) ? { router = module.router.service_account } : {},
      contains(["migrate-database-url", "database-ca"], s) ? { migrator = module.project.migrator } : {},
      contains(local.machine_secrets, s) ? { machines = module.citus[0].service_account } : {},
      contains(keys(local.cluster_secrets), s) ? { cluster = module.gke.workload_service_accounts[local.cluster_secrets[s]] } : {},
    )
  } }
  known               = { redis-url = 1, redis-ca = 1 }
  values              = { redis-url = module.redis.url, redis-ca = module.redis.server_ca }
  rotation            = { url = local.address[local.rotation], invoker = local.push["scheduler"] }
  deletion_protection = local.production
  labels              = local.labels
}

# The rotation adds versions of the sets of keys that it reads. (Functions are given
# their own secrets by their own module.)
resource "google_secret_manager_secret_iam_member" "rotation" {
  for_each = toset(local.all[local.rotation].secrets)

  project   = var.project_id
  secret_id = module.secrets.ids[each.value]
  role      = "roles/secretmanager.secretVersionAdder"
  member    = "serviceAccount:${module.function[local.rotation].service_account}"
}

module "storage" {
  source = "../storage"

  project_id     = var.project_id
  region         = var.region
  origins        = [var.app_url]
  object_writers = { for name, l in local.links : name => module.function[name].service_account if contains(l, "blob") }
  backup_writers = { for c in module.citus : "citus" => c.service_account }
  image_readers  = { nodes = module.gke.node_service_account }
  unused_days    = var.unused_days
  labels         = local.labels
}

module "delivery" {
  source = "../delivery"

  project_id          = var.project_id
  region              = var.region
  image               = lookup(var.images, "migrate", "")
  migrator            = module.project.migrator
  services            = { for name, m in module.function : name => m.name }
  network             = module.networking.network
  subnetwork          = module.networking.functions_subnetwork
  secret_ids          = module.secrets.ids
  deletion_protection = local.production
  labels              = local.labels
}

module "pubsub" {
  source = "../pubsub"

  project_id     = var.project_id
  project_number = var.project_number
  region         = var.region
  publishers     = { for name, l in local.links : name => module.function[name].service_account if contains(l, "queue/events") }
  invoker        = local.push["pubsub"]
  labels         = local.labels
  consumers = { for name, f in local.all : name => {
    topic        = f.topic
    url          = local.address[name]
    ordering     = f.ordering
    max_attempts = f.retry.max_attempts
    min_backoff  = "${local.units[substr(f.retry.min_backoff, -1, 1)] * tonumber(substr(f.retry.min_backoff, 0, length(f.retry.min_backoff) - 1))}s"
    max_backoff  = "${min(600, local.units[substr(f.retry.max_backoff, -1, 1)] * tonumber(substr(f.retry.max_backoff, 0, length(f.retry.max_backoff) - 1)))}s"
    ack_seconds  = min(600, max(10, local.units[substr(f.resources.timeout, -1, 1)] * tonumber(substr(f.resources.timeout, 0, length(f.resources.timeout) - 1))))
  } if f.kind == "pubsub" }
}

module "tasks" {
  source = "../tasks"

  project_id = var.project_id
  region     = var.region
  enqueuers  = { (local.relay) = module.function[local.relay].service_account }
  invoker    = local.push["cloudtasks"]
  queues = { for name, f in local.all : f.queue.name => {
    max_attempts = f.queue.max_attempts
    rate         = f.queue.rate
    concurrency  = f.queue.concurrency
    min_backoff  = "${local.units[substr(f.queue.min_backoff, -1, 1)] * tonumber(substr(f.queue.min_backoff, 0, length(f.queue.min_backoff) - 1))}s"
    max_backoff  = "${local.units[substr(f.queue.max_backoff, -1, 1)] * tonumber(substr(f.queue.max_backoff, 0, length(f.queue.max_backoff) - 1))}s"
    max_age      = "${local.units[substr(f.queue.max_age, -1, 1)] * tonumber(substr(f.queue.max_age, 0, length(f.queue.max_age) - 1))}s"
  } if f.kind == "task" }
}

module "scheduler" {
  source = "../scheduler"

  project_id = var.project_id
  region     = var.region
  invoker    = local.push["scheduler"]
  paused     = var.paused
  schedules = { for name, f in local.all : name => {
    cron     = f.cron
    timezone = f.timezone
    url      = local.address[name]
    deadline = "${local.units[substr(f.resources.timeout, -1, 1)] * tonumber(substr(f.resources.timeout, 0, length(f.resources.timeout) - 1))}s"
  } if f.kind == "schedule" }
}

module "monitoring" {
  source = "../monitoring"

  project_id    = var.project_id
  host          = var.base_domain
  oauth_host    = module.router.oauth_host
  load_balancer = module.router.load_balancer
  schedules     = { for name, gap in local.gap : name => gap + local.lateness[name] }
  dead_letters  = module.pubsub.dead_letters
  secrets_topic = module.secrets.topic
  sql           = { disk_limit_gb = module.cloudsql.disk_limit_gb, max_connections = var.database.max_connections, highly_available = var.database.highly_available }
  emails        = var.emails
  runbooks      = "https://github.com/${var.repository}/blob/main/docs/runbooks"
}

module "budget" {
  source = "../budget"

  billing_account       = var.billing_account
  project_id            = var.project_id
  project_number        = var.project_number
  amount                = var.monthly_budget
  notification_channels = module.monitoring.channels
}
