# The cluster: it carries what is no function, Hydra and PgBouncer. Nodes have no
# address outside, pods are Google accounts by workload identity, images need the
# pipeline's signature, policies between pods are enforced by the network.

locals {
  nodes = "${google_service_account.nodes.account_id}@${var.project_id}.iam.gserviceaccount.com"
}

resource "google_service_account" "nodes" {
  project      = var.project_id
  account_id   = "cluster-nodes"
  display_name = "Nodes of the cluster"
}

# What a node itself does: logs and metrics. Pods have accounts of their own.
resource "google_project_iam_member" "nodes" {
  for_each = toset(["roles/logging.logWriter", "roles/monitoring.metricWriter", "roles/stackdriver.resourceMetadata.writer"])

  project = var.project_id
  role    = each.value
  member  = "serviceAccount:${local.nodes}"
}

resource "google_service_account" "workload" {
  for_each = var.workloads

  project      = var.project_id
  account_id   = "gke-${each.key}"
  display_name = "${each.key} in the cluster"
}

# A pod of that name in that namespace, and no other, acts as the account.
resource "google_service_account_iam_member" "workload" {
  for_each = var.workloads

  service_account_id = google_service_account.workload[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project_id}.svc.id.goog[${each.value}/${each.key}]"

  depends_on = [google_container_cluster.this]
}

# Secrets of Kubernetes are encrypted with a key of ours before they reach etcd.
resource "google_kms_key_ring" "this" {
  project  = var.project_id
  name     = var.name
  location = var.region
}

resource "google_kms_crypto_key" "etcd" {
  name            = "etcd"
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s"
}

resource "google_kms_crypto_key_iam_member" "etcd" {
  crypto_key_id = google_kms_crypto_key.etcd.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${var.project_number}@container-engine-robot.iam.gserviceaccount.com"
}

resource "google_container_cluster" "this" {
  project             = var.project_id
  name                = var.name
  location            = length(var.zones) == 1 ? var.zones[0] : var.region
  node_locations      = length(var.zones) == 1 ? null : var.zones
  network             = var.network
  subnetwork          = var.subnetwork
  networking_mode     = "VPC_NATIVE"
  datapath_provider   = "ADVANCED_DATAPATH"
  deletion_protection = var.deletion_protection
  resource_labels     = var.labels

  # The pools are resources of their own.
  remove_default_node_pool = true
  initial_node_count       = 1

  enable_legacy_abac          = false
  enable_shielded_nodes       = true
  enable_l4_ilb_subsetting    = true
  enable_intranode_visibility = true

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
    master_ipv4_cidr_block  = var.control_plane_range
  }

  # People and the pipeline reach the control plane by its name, as IAM lets them.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }

  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }

  database_encryption {
    state    = "ENCRYPTED"
    key_name = google_kms_crypto_key.etcd.id
  }

  # Pods mount their secrets from Secret Manager (terraform/kubernetes).
  secret_manager_config {
    enabled = true
  }

  release_channel {
    channel = var.release_channel
  }

  maintenance_policy {
    recurring_window {
      start_time = "2026-01-04T02:00:00Z"
      end_time   = "2026-01-04T06:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SU"
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS", "POD", "DEPLOYMENT", "HPA"]
    managed_prometheus {
      enabled = true
    }
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_BASIC"
  }

  cost_management_config {
    enabled = true
  }

  depends_on = [google_kms_crypto_key_iam_member.etcd]
}

resource "google_container_node_pool" "this" {
  for_each = var.pools

  project        = var.project_id
  name           = each.key
  cluster        = google_container_cluster.this.id
  location       = google_container_cluster.this.location
  node_locations = var.zones

  autoscaling {
    total_min_node_count = each.value.min
    total_max_node_count = each.value.max
    location_policy      = "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  upgrade_settings {
    strategy        = var.blue_green ? "BLUE_GREEN" : "SURGE"
    max_surge       = var.blue_green ? null : 1
    max_unavailable = var.blue_green ? null : 0

    dynamic "blue_green_settings" {
      for_each = var.blue_green ? [1] : []
      content {
        node_pool_soak_duration = "3600s"
        standard_rollout_policy {
          batch_percentage    = 0.34
          batch_soak_duration = "300s"
        }
      }
    }
  }

  network_config {
    enable_private_nodes = true
  }

  node_config {
    machine_type    = each.value.machine
    image_type      = "COS_CONTAINERD"
    disk_type       = "pd-balanced"
    disk_size_gb    = 100
    service_account = local.nodes
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { pool = each.key }
    resource_labels = var.labels
    tags            = [var.network_tag]
    metadata        = { disable-legacy-endpoints = "true" }

    # A tainted pool is for what asks for it.
    dynamic "taint" {
      for_each = each.value.dedicated ? [each.key] : []
      content {
        key    = "dedicated"
        value  = taint.value
        effect = "NO_SCHEDULE"
      }
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }
}
