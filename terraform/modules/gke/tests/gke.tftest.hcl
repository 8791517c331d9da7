mock_provider "google" {
  mock_resource "google_kms_key_ring" {
    defaults = { id = "projects/example-prod/locations/europe-west1/keyRings/coditect" }
  }
}

variables {
  project_id     = "example-prod"
  project_number = "123456789012"
  region         = "europe-west1"
  zones          = ["europe-west1-b", "europe-west1-c", "europe-west1-d"]
  network        = "projects/example-prod/global/networks/coditect"
  subnetwork     = "projects/example-prod/regions/europe-west1/subnetworks/coditect-machines"
  pools          = { general = { min = 3, max = 94 }, pooler = { min = 2, max = 6, dedicated = true } }
  workloads      = { pgbouncer = "coditect-production", hydra = "coditect-production" }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_nodes && google_container_cluster.this.private_cluster_config[0].enable_private_endpoint
    error_message = "Neither nodes nor the control plane have an address outside."
  }
  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.network_config[0].enable_private_nodes])
    error_message = "No pool has public nodes."
  }
  assert {
    condition     = toset(google_container_cluster.this.node_locations) == toset(["europe-west1-b", "europe-west1-c", "europe-west1-d"]) && google_container_cluster.this.location == "europe-west1"
    error_message = "Three zones."
  }
  assert {
    condition     = google_container_cluster.this.workload_identity_config[0].workload_pool == "example-prod.svc.id.goog"
    error_message = "Pods have accounts of their own."
  }
  assert {
    condition     = google_container_cluster.this.binary_authorization[0].evaluation_mode == "PROJECT_SINGLETON_POLICY_ENFORCE"
    error_message = "Images need the pipeline's signature."
  }
  assert {
    condition     = google_container_cluster.this.datapath_provider == "ADVANCED_DATAPATH"
    error_message = "Network policies are enforced."
  }
  assert {
    condition     = google_container_cluster.this.database_encryption[0].state == "ENCRYPTED"
    error_message = "Kubernetes' secrets are encrypted with a key of ours."
  }
  assert {
    condition     = google_container_cluster.this.secret_manager_config[0].enabled
    error_message = "Pods mount their secrets from Secret Manager."
  }
  assert {
    condition     = google_container_cluster.this.enable_legacy_abac == false && google_container_cluster.this.master_auth[0].client_certificate_config[0].issue_client_certificate == false
    error_message = "Rights are RBAC's and IAM's alone."
  }
  assert {
    condition     = google_container_cluster.this.enable_shielded_nodes && alltrue([for p in google_container_node_pool.this : p.node_config[0].shielded_instance_config[0].enable_secure_boot])
    error_message = "Nodes boot what Google signed."
  }
  assert {
    condition     = google_container_cluster.this.deletion_protection
    error_message = "The cluster is protected."
  }
  assert {
    condition     = sum([for p in google_container_node_pool.this : p.autoscaling[0].total_max_node_count]) == 100
    error_message = "A hundred nodes at most."
  }
  assert {
    condition     = google_container_node_pool.this["general"].autoscaling[0].total_min_node_count == 3
    error_message = "Three nodes at least."
  }
  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.node_config[0].machine_type == "n2-standard-4"])
    error_message = "Nodes are n2-standard-4."
  }
  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"])
    error_message = "Pods do not get the node's token."
  }
  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.node_config[0].service_account == "cluster-nodes@example-prod.iam.gserviceaccount.com"])
    error_message = "Nodes do not run as the default account."
  }
  assert {
    condition     = toset([for m in google_project_iam_member.nodes : m.role]) == toset(["roles/logging.logWriter", "roles/monitoring.metricWriter", "roles/stackdriver.resourceMetadata.writer"])
    error_message = "Nodes write logs and metrics, and nothing else."
  }
  assert {
    condition     = google_container_node_pool.this["pooler"].node_config[0].taint[0].effect == "NO_SCHEDULE" && length(google_container_node_pool.this["general"].node_config[0].taint) == 0
    error_message = "The pooler's nodes are the pooler's alone."
  }
  assert {
    condition     = alltrue([for n, p in google_container_node_pool.this : p.node_config[0].labels["pool"] == n])
    error_message = "Pools are found by their label."
  }
  assert {
    condition     = google_service_account_iam_member.workload["pgbouncer"].member == "serviceAccount:example-prod.svc.id.goog[coditect-production/pgbouncer]"
    error_message = "Only that pod in that namespace is the account."
  }
  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.management[0].auto_repair && p.management[0].auto_upgrade])
    error_message = "Nodes are repaired and kept new."
  }
}

run "blue_green" {
  command = plan
  variables { blue_green = true }

  assert {
    condition     = alltrue([for p in google_container_node_pool.this : p.upgrade_settings[0].strategy == "BLUE_GREEN"])
    error_message = "Upgrades can go back."
  }
}

run "refuses_more_nodes_than_addresses" {
  command = plan
  variables { pools = { general = { min = 3, max = 101 } } }
  expect_failures = [var.pools]
}

run "refuses_two_zones" {
  command = plan
  variables { zones = ["europe-west1-b", "europe-west1-c"] }
  expect_failures = [var.zones]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id     = "X"
    project_number = "example"
    region         = "europe"
    name           = "Coditect"
    network        = "default"
    subnetwork     = "default"
    network_tag    = "All functions"
  }
  expect_failures = [var.project_id, var.project_number, var.region, var.name, var.network, var.subnetwork, var.network_tag]
}
