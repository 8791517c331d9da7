# Who may talk to whom. Everything is denied, in both directions, and logged; each
# rule below names who, to whom and the port. Roles are network tags: functions
# carry theirs on the interface of direct VPC egress, machines on the instance.

locals {
  everyone = ["0.0.0.0/0"]
  # Google's load balancers and health checks.
  # Source: docs.cloud.google.com/load-balancing/docs/firewall-rules.
  health_checks = ["35.191.0.0/16", "130.211.0.0/22"]
  # Identity-aware proxy: how people reach a machine that has no address outside.
  proxy = ["35.235.240.0/20"]
  # private.googleapis.com and restricted.googleapis.com.
  google_apis = ["199.36.153.4/30", "199.36.153.8/30"]
  metadata    = "169.254.169.254/32"

  ingress = merge({
    pooler-from-functions = {
      why = "Functions reach PgBouncer", ranges = [var.functions_range], targets = [var.tags.cluster], ports = [var.ports.pooler]
    }
    hydra-from-functions = {
      why = "The administration of Hydra, which asks for no password: who reaches it is said where they go out", ranges = [var.functions_range], targets = [var.tags.cluster], ports = [var.ports.hydra_admin]
    }
    cluster-health = {
      why = "Google's load balancers and health checks reach services of the cluster", ranges = local.health_checks, targets = [var.tags.cluster], ports = [var.ports.pooler, var.ports.hydra, "10256"]
    }
    cluster-itself = {
      why = "Nodes and pods of the cluster reach each other", ranges = [var.machines_range, var.pods_range], targets = [var.tags.cluster], ports = ["1-65535"]
    }
    }, var.citus ? {
    database-from-pooler = {
      why = "PgBouncer and the migration job reach the coordinator", ranges = [var.pods_range, var.functions_range], targets = [var.tags.database], ports = [var.ports.postgres]
    }
    database-itself = {
      why = "Nodes reach each other, and Patroni each other's state", ranges = [var.machines_range], targets = [var.tags.database], ports = [var.ports.postgres, var.ports.patroni]
    }
    database-health = {
      why = "The load balancer asks Patroni who leads", ranges = local.health_checks, targets = [var.tags.database], ports = [var.ports.patroni]
    }
    consensus = {
      why = "Patroni and etcd reach etcd", ranges = [var.machines_range], targets = [var.tags.consensus], ports = ["2379", "2380"]
    }
    shell = {
      why = "People reach database machines through the identity-aware proxy", ranges = local.proxy, targets = [var.tags.database, var.tags.consensus], ports = ["22"]
    }
  } : {})

  egress = merge({
    functions-to-pooler = {
      why = "Functions reach PgBouncer", ranges = [var.machines_range], targets = [var.tags.functions], ports = [var.ports.pooler]
    }
    signin-to-hydra = {
      why = "Who signs people in reaches Hydra's administration, and no other function", ranges = [var.machines_range], targets = [var.tags.signin], ports = [var.ports.hydra_admin]
    }
    cluster-to-managed = {
      why = "Hydra reaches its database on Cloud SQL, and PgBouncer the functions' where there is no Citus", ranges = [var.managed_range], targets = [var.tags.cluster], ports = [var.ports.postgres]
    }
    functions-to-redis = {
      why = "Functions reach Redis", ranges = [var.managed_range], targets = [var.tags.functions], ports = [var.ports.redis]
    }
    google-apis = {
      why = "Everything reaches Google's APIs", ranges = local.google_apis, targets = null, ports = ["443"]
    }
    internet = {
      why = "Stripe, mail by HTTPS, identity providers: through NAT", ranges = local.everyone, targets = [var.tags.functions, var.tags.cluster, var.tags.database, var.tags.consensus], ports = ["443"]
    }
    cluster-itself = {
      why = "Nodes and pods reach each other and the control plane", ranges = concat([var.machines_range, var.pods_range], var.control_plane_range == null ? [] : [var.control_plane_range]), targets = [var.tags.cluster], ports = ["1-65535"]
    }
    }, var.citus ? {
    pooler-to-database = {
      why = "PgBouncer reaches the coordinator", ranges = [var.machines_range], targets = [var.tags.cluster], ports = [var.ports.postgres]
    }
    migrator-to-database = {
      why = "The migration job goes past PgBouncer", ranges = [var.machines_range], targets = [var.tags.migrator], ports = [var.ports.postgres]
    }
    database-itself = {
      why = "Nodes reach each other and etcd", ranges = [var.machines_range], targets = [var.tags.database, var.tags.consensus], ports = [var.ports.postgres, var.ports.patroni, "2379", "2380"]
    }
    } : {
    migrator-to-database = {
      why = "The migration job goes past PgBouncer", ranges = [var.managed_range], targets = [var.tags.migrator], ports = [var.ports.postgres]
    }
  })
}

resource "google_compute_firewall" "deny" {
  for_each = toset(["INGRESS", "EGRESS"])

  project            = var.project_id
  name               = "${var.name}-deny-${lower(each.value)}"
  description        = "What no other rule allows is denied, and seen"
  network            = var.network
  direction          = each.value
  priority           = 65534
  source_ranges      = each.value == "INGRESS" ? local.everyone : null
  destination_ranges = each.value == "EGRESS" ? local.everyone : null

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "ingress" {
  for_each = local.ingress

  project       = var.project_id
  name          = "${var.name}-in-${each.key}"
  description   = each.value.why
  network       = var.network
  direction     = "INGRESS"
  priority      = 1000
  source_ranges = each.value.ranges
  target_tags   = each.value.targets

  allow {
    protocol = "tcp"
    ports    = each.value.ports
  }

  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "egress" {
  for_each = local.egress

  project            = var.project_id
  name               = "${var.name}-out-${each.key}"
  description        = each.value.why
  network            = var.network
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = each.value.ranges
  target_tags        = each.value.targets

  allow {
    protocol = "tcp"
    ports    = each.value.ports
  }

  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}

# Names are asked of the metadata server; a cluster's own resolver is in the pods.
resource "google_compute_firewall" "names" {
  project            = var.project_id
  name               = "${var.name}-out-names"
  description        = "The cluster's resolver, and the metadata server"
  network            = var.network
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = [var.pods_range, var.machines_range, local.metadata]

  allow {
    protocol = "udp"
    ports    = ["53"]
  }
  allow {
    protocol = "tcp"
    ports    = ["53"]
  }

  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}
