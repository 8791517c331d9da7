mock_provider "google" {}

variables {
  project_id = "example-prod"
  region     = "europe-west1"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_compute_network.this.auto_create_subnetworks == false
    error_message = "A custom network: an automatic one has subnets in every region."
  }
  assert {
    condition     = google_compute_subnetwork.functions.ip_cidr_range == "10.0.0.0/20"
    error_message = "Functions are in 10.0.0.0/20."
  }
  assert {
    condition     = google_compute_subnetwork.machines.ip_cidr_range == "10.0.16.0/24"
    error_message = "Machines are in 10.0.16.0/24."
  }
  assert {
    condition     = google_compute_subnetwork.functions.private_ip_google_access && google_compute_subnetwork.machines.private_ip_google_access
    error_message = "Google's APIs are reached from inside."
  }
  assert {
    condition     = google_compute_subnetwork.functions.log_config[0].flow_sampling > 0 && google_compute_subnetwork.machines.log_config[0].flow_sampling > 0
    error_message = "Flows are logged."
  }
  assert {
    condition     = toset(google_compute_subnetwork.machines.secondary_ip_range[*].range_name) == toset(["pods", "services"])
    error_message = "The cluster is VPC-native: pods and services have ranges of their own."
  }
  assert {
    condition     = google_compute_router_nat.this.source_subnetwork_ip_ranges_to_nat == "ALL_SUBNETWORKS_ALL_IP_RANGES"
    error_message = "Everything goes out through NAT, pods too."
  }
  assert {
    condition     = google_compute_router_nat.this.log_config[0].enable
    error_message = "NAT logs what found no port."
  }
  assert {
    condition     = google_compute_router_nat.this.enable_dynamic_port_allocation && !google_compute_router_nat.this.enable_endpoint_independent_mapping
    error_message = "Ports are given out as needed, which excludes endpoint-independent mapping."
  }
  assert {
    condition     = google_compute_global_address.services.purpose == "VPC_PEERING" && google_compute_global_address.services.address_type == "INTERNAL"
    error_message = "Managed databases are peered into the network."
  }
  assert {
    condition     = google_compute_global_address.services.prefix_length == 16
    error_message = "The range of managed databases is a /16."
  }
  assert {
    condition     = google_service_networking_connection.this.service == "servicenetworking.googleapis.com"
    error_message = "Private services access is connected."
  }
  assert {
    condition     = google_compute_address.pooler.address_type == "INTERNAL"
    error_message = "The pooler's address is inside."
  }
  assert {
    condition     = google_compute_address.hydra.address_type == "INTERNAL"
    error_message = "Hydra's administration has an address inside only."
  }
  assert {
    condition     = google_dns_record_set.hydra.name == "hydra.coditect.internal." && google_dns_record_set.hydra.managed_zone == google_dns_managed_zone.internal.name
    error_message = "Hydra's administration has a name inside, which its certificate can carry."
  }
  assert {
    condition     = google_dns_managed_zone.internal.visibility == "private" && google_dns_managed_zone.run.visibility == "private"
    error_message = "Names inside are not for the world."
  }
  assert {
    condition     = toset(google_dns_record_set.run["*.run.app."].rrdatas) == toset(["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"])
    error_message = "Functions reach each other by Google's private addresses; otherwise internal ingress refuses them."
  }
  assert {
    condition     = google_dns_record_set.pooler.name == "pgbouncer.coditect.internal."
    error_message = "The pooler has a name, which its certificate can carry."
  }
}

run "refuses_public_addresses" {
  command = plan
  variables { functions_range = "8.8.0.0/20" }
  expect_failures = [var.functions_range]
}

run "refuses_a_narrow_subnet" {
  command = plan
  variables { functions_range = "10.0.0.0/27" }
  expect_failures = [var.functions_range]
}

run "refuses_to_log_nothing" {
  command = plan
  variables { flow_sampling = 0 }
  expect_failures = [var.flow_sampling]
}

run "refuses_a_narrow_range_for_databases" {
  command = plan
  variables { managed_range = "10.16.0.0/24" }
  expect_failures = [var.managed_range]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id = "X"
    region     = "europe"
  }
  expect_failures = [var.project_id, var.region]
}
