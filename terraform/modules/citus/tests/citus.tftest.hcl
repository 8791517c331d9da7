mock_provider "google" {}

variables {
  project_id     = "example-prod"
  region         = "europe-west1"
  zones          = ["europe-west1-b", "europe-west1-c", "europe-west1-d"]
  subnetwork     = "projects/example-prod/regions/europe-west1/subnetworks/coditect-machines"
  image          = "projects/example-prod/global/images/citus-20261101"
  backup_bucket  = "example-prod-backups"
  machines_range = "10.0.16.0/24"
  budget         = { instances = { tasks = 100, projects = 50 } }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(google_compute_instance.node)) == toset(["coordinator-0", "coordinator-1", "worker-1-0", "worker-1-1", "worker-2-0", "worker-2-1"])
    error_message = "Each group has two machines."
  }
  assert {
    condition     = google_compute_instance.node["worker-1-0"].zone != google_compute_instance.node["worker-1-1"].zone
    error_message = "A group's machines are in two zones."
  }
  assert {
    condition     = length(distinct([for i in google_compute_instance.consensus : i.zone])) == 3
    error_message = "etcd is in three zones."
  }
  assert {
    condition     = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : length(i.network_interface[0].access_config) == 0])
    error_message = "No machine of the database has an address outside."
  }
  assert {
    condition     = alltrue([for i in google_compute_instance.node : strcontains(i.metadata["startup-script"], "ssl: \"on\"") && strcontains(i.metadata["startup-script"], "hostssl ") && !strcontains(i.metadata["startup-script"], "\"host ")])
    error_message = "Nodes take TLS only."
  }
  assert {
    condition     = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.metadata["startup-script"] == file("machine.sh") && i.metadata["scope"] == "citus"])
    error_message = "Machines set themselves up."
  }
  assert {
    condition     = { for n, i in google_compute_instance.node : n => i.metadata["citus-group"] } == { coordinator-0 = "0", coordinator-1 = "0", worker-1-0 = "1", worker-1-1 = "1", worker-2-0 = "2", worker-2-1 = "2" }
    error_message = "Patroni knows each machine's group."
  }
  assert {
    condition     = google_compute_instance.consensus["etcd-0"].metadata["etcd-members"] == "citus-etcd-0=https://citus-etcd-0.europe-west1-b.c.example-prod.internal:2380,citus-etcd-1=https://citus-etcd-1.europe-west1-c.c.example-prod.internal:2380,citus-etcd-2=https://citus-etcd-2.europe-west1-d.c.example-prod.internal:2380"
    error_message = "Members of etcd know each other, over TLS."
  }
  assert {
    condition     = google_compute_instance.node["worker-2-1"].metadata["etcd-hosts"] == "citus-etcd-0.europe-west1-b.c.example-prod.internal:2379,citus-etcd-1.europe-west1-c.c.example-prod.internal:2379,citus-etcd-2.europe-west1-d.c.example-prod.internal:2379"
    error_message = "Patroni knows etcd."
  }
  assert {
    condition     = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.metadata["enable-oslogin"] == "TRUE" && i.metadata["block-project-ssh-keys"] == "TRUE"])
    error_message = "Shells are IAM's."
  }
  assert {
    condition     = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.shielded_instance_config[0].enable_secure_boot])
    error_message = "Machines boot what is signed."
  }
  assert {
    condition     = alltrue([for i in concat(values(google_compute_instance.node), values(google_compute_instance.consensus)) : i.deletion_protection])
    error_message = "Machines are protected."
  }
  assert {
    condition     = alltrue([for i in google_compute_instance.node : i.service_account[0].email == "citus@example-prod.iam.gserviceaccount.com"])
    error_message = "Machines have an account of their own."
  }
  assert {
    condition     = toset([for m in google_project_iam_member.this : m.role]) == toset(["roles/logging.logWriter", "roles/monitoring.metricWriter"])
    error_message = "It writes logs and metrics, and nothing else."
  }
  assert {
    condition     = alltrue([for d in google_compute_disk.data : d.type == "pd-ssd"])
    error_message = "Data is on SSDs."
  }
  assert {
    condition     = length(google_compute_disk_resource_policy_attachment.data) == length(google_compute_disk.data)
    error_message = "Every data disk is snapshotted."
  }
  assert {
    condition     = google_compute_resource_policy.snapshots.snapshot_schedule_policy[0].retention_policy[0].max_retention_days == 7
    error_message = "Snapshots are kept for seven days."
  }
  assert {
    condition     = google_compute_region_backend_service.coordinator.load_balancing_scheme == "INTERNAL" && google_compute_forwarding_rule.coordinator.load_balancing_scheme == "INTERNAL"
    error_message = "The coordinator is reached from inside."
  }
  assert {
    condition     = google_compute_region_health_check.leader.https_health_check[0].request_path == "/primary"
    error_message = "Connections lead to the leader."
  }
  assert {
    condition     = google_compute_forwarding_rule.coordinator.ports == toset(["5432"])
    error_message = "Only PostgreSQL's port is balanced."
  }
  assert {
    condition     = output.connections.pooler.wanted == 320 && output.connections.pooler.available == 350
    error_message = "2 poolers × 2 pools × 80, of 400 less 50."
  }
  assert {
    condition     = output.connections.clients.wanted == 1500 && output.connections.clients.available == 20000
    error_message = "150 instances × 10, of 2 × 10,000."
  }
}

run "refuses_more_pools_than_connections" {
  command = plan
  variables { budget = { instances = { tasks = 1 }, pool_size = 90 } }
  expect_failures = [google_compute_instance.node]
}

run "refuses_more_functions_than_pooler" {
  command = plan
  variables { budget = { instances = { tasks = 100 }, max_client_connections = 400 } }
  expect_failures = [google_compute_instance.node]
}

run "refuses_two_zones" {
  command = plan
  variables { zones = ["europe-west1-b", "europe-west1-c", "europe-west1-c"] }
  expect_failures = [var.zones]
}

run "refuses_an_image_family" {
  command = plan
  variables { image = "projects/example-prod/global/images/family/citus" }
  expect_failures = [var.image]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id      = "X"
    region          = "europe"
    name            = "Coditect"
    subnetwork      = "default"
    machine         = "e2-micro"
    disk_gb         = 10
    max_connections = 0
    backup_bucket   = "gs://backups"
  }
  expect_failures = [var.project_id, var.region, var.name, var.subnetwork, var.machine, var.disk_gb, var.max_connections, var.backup_bucket]
}
