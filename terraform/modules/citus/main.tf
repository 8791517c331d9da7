# Citus on machines of ours: Google has no managed one. Each group (the coordinator
# is group 0, workers follow) is two machines in two zones under Patroni, which
# elects the leader through etcd and keeps the coordinator's list of nodes right.
# A load balancer inside leads to whoever leads group 0.

locals {
  email = "${google_service_account.this.account_id}@${var.project_id}.iam.gserviceaccount.com"

  groups = { for n in range(var.workers + 1) : n == 0 ? "coordinator" : "worker-${n}" => n }
  nodes = merge([for group, number in local.groups : {
    for i, zone in slice(var.zones, 0, 2) : "${group}-${i}" => { group = group, number = number, zone = zone }
  }]...)
  consensus = { for i, zone in var.zones : "etcd-${i}" => zone }

  # What the network itself calls them.
  names = { for n, zone in local.consensus : n => "${var.name}-${n}.${zone}.c.${var.project_id}.internal" }

  # The budget: what may be opened, and what there is. Every coordinator connection
  # keeps one to each worker, so that a worker has to take as many.
  pooled        = var.budget.poolers * var.budget.pools * var.budget.pool_size
  available     = var.max_connections - var.budget.reserved
  clients       = sum([for n in values(var.budget.instances) : n]) * var.budget.connections_per_instance
  pooler_limits = var.budget.poolers * var.budget.max_client_connections
}

resource "google_service_account" "this" {
  project      = var.project_id
  account_id   = "citus"
  display_name = "Machines of the database"
}

resource "google_project_iam_member" "this" {
  for_each = toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])

  project = var.project_id
  role    = each.value
  member  = "serviceAccount:${local.email}"
}

resource "google_compute_resource_policy" "snapshots" {
  project = var.project_id
  region  = var.region
  name    = "${var.name}-daily"

  snapshot_schedule_policy {
    schedule {
      daily_schedule {
        days_in_cycle = 1
        start_time    = "01:00"
      }
    }
    retention_policy {
      max_retention_days    = var.snapshots_kept
      on_source_disk_delete = "KEEP_AUTO_SNAPSHOTS"
    }
    snapshot_properties {
      storage_locations = [var.region]
      guest_flush       = false
    }
  }
}

resource "google_compute_disk" "data" {
  for_each = local.nodes

  project = var.project_id
  zone    = each.value.zone
  name    = "${var.name}-${each.key}-data"
  type    = "pd-ssd"
  size    = var.disk_gb
  labels  = var.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_compute_disk_resource_policy_attachment" "data" {
  for_each = local.nodes

  project = var.project_id
  zone    = each.value.zone
  disk    = google_compute_disk.data[each.key].name
  name    = google_compute_resource_policy.snapshots.name
}

resource "google_compute_instance" "node" {
  for_each = local.nodes

  project                   = var.project_id
  zone                      = each.value.zone
  name                      = "${var.name}-${each.key}"
  machine_type              = var.machine
  deletion_protection       = var.deletion_protection
  allow_stopping_for_update = true
  tags                      = ["database"]
  labels                    = merge(var.labels, { group = each.value.group })

  boot_disk {
    initialize_params {
      image = var.image
      size  = 30
      type  = "pd-balanced"
    }
  }

  attached_disk {
    source      = google_compute_disk.data[each.key].id
    device_name = "data"
  }

  # No access_config: no address outside.
  network_interface {
    subnetwork = var.subnetwork
  }

  service_account {
    email  = local.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
    # The script reads the rest, and passwords and certificates from Secret Manager
    # as this machine's account.
    startup-script  = file("${path.module}/machine.sh")
    role            = "node"
    scope           = var.name
    database        = var.database
    citus-group     = tostring(each.value.number)
    etcd-hosts      = join(",", [for n in sort(keys(local.names)) : "${local.names[n]}:2379"])
    machines-range  = var.machines_range
    max-connections = tostring(var.max_connections)
    backup-bucket   = var.backup_bucket
  }

  lifecycle {
    precondition {
      condition     = local.pooled <= local.available
      error_message = "PgBouncer may open ${local.pooled} connections (${var.budget.poolers} poolers × ${var.budget.pools} pools × ${var.budget.pool_size}), and a node has ${local.available} for it (${var.max_connections} less ${var.budget.reserved})."
    }
    precondition {
      condition     = local.clients <= local.pooler_limits
      error_message = "Functions may open ${local.clients} connections (instances × ${var.budget.connections_per_instance}), and PgBouncer takes ${local.pooler_limits} (${var.budget.poolers} × ${var.budget.max_client_connections})."
    }
  }
}

resource "google_compute_instance" "consensus" {
  for_each = local.consensus

  project                   = var.project_id
  zone                      = each.value
  name                      = "${var.name}-${each.key}"
  machine_type              = "e2-small"
  deletion_protection       = var.deletion_protection
  allow_stopping_for_update = true
  tags                      = ["consensus"]
  labels                    = merge(var.labels, { group = "etcd" })

  boot_disk {
    initialize_params {
      image = var.image
      size  = 20
      type  = "pd-ssd"
    }
  }

  network_interface {
    subnetwork = var.subnetwork
  }

  service_account {
    email  = local.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
    startup-script         = file("${path.module}/machine.sh")
    role                   = "consensus"
    scope                  = var.name
    etcd-members           = join(",", [for n in sort(keys(local.names)) : "${var.name}-${n}=https://${local.names[n]}:2380"])
  }
}

resource "google_compute_instance_group" "coordinator" {
  for_each = { for k, n in local.nodes : k => n if n.number == 0 }

  project   = var.project_id
  zone      = each.value.zone
  name      = "${var.name}-${each.key}"
  instances = [google_compute_instance.node[each.key].id]
}

# Patroni answers 200 on the leader and 503 elsewhere.
resource "google_compute_region_health_check" "leader" {
  project             = var.project_id
  region              = var.region
  name                = "${var.name}-leader"
  check_interval_sec  = 3
  timeout_sec         = 2
  healthy_threshold   = 1
  unhealthy_threshold = 2

  https_health_check {
    port         = 8008
    request_path = "/primary"
  }
}

resource "google_compute_region_backend_service" "coordinator" {
  project               = var.project_id
  region                = var.region
  name                  = "${var.name}-coordinator"
  load_balancing_scheme = "INTERNAL"
  protocol              = "TCP"
  health_checks         = [google_compute_region_health_check.leader.id]

  dynamic "backend" {
    for_each = google_compute_instance_group.coordinator
    content {
      group          = backend.value.id
      balancing_mode = "CONNECTION"
    }
  }

  # Connections to a leader that is none any more are cut: they could not write.
  connection_draining_timeout_sec = 0
  connection_tracking_policy {
    connection_persistence_on_unhealthy_backends = "NEVER_PERSIST"
  }
}

resource "google_compute_forwarding_rule" "coordinator" {
  project               = var.project_id
  region                = var.region
  name                  = "${var.name}-coordinator"
  load_balancing_scheme = "INTERNAL"
  backend_service       = google_compute_region_backend_service.coordinator.id
  ip_protocol           = "TCP"
  ports                 = ["5432"]
  subnetwork            = var.subnetwork
  labels                = var.labels
}
