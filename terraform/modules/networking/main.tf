# The network: one subnet that functions go out by, one for machines (cluster
# nodes, the database's), and a range that Google's managed databases are reached
# in. Nothing in it has an address on the internet; what must go out does so
# through Cloud NAT.

locals {
  # Addresses of private.googleapis.com: Google's APIs from inside.
  # Source: docs.cloud.google.com/vpc/docs/configure-private-google-access.
  google_apis = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]
}

resource "google_compute_network" "this" {
  project                 = var.project_id
  name                    = var.name
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "functions" {
  project                  = var.project_id
  region                   = var.region
  name                     = "${var.name}-functions"
  description              = "Direct VPC egress of Cloud Run: an address for each instance"
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.functions_range
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = var.flow_sampling
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_subnetwork" "machines" {
  project                  = var.project_id
  region                   = var.region
  name                     = "${var.name}-machines"
  description              = "Nodes of the cluster and of the database"
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.machines_range
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.pods_range
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.services_range
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = var.flow_sampling
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  project = var.project_id
  region  = var.region
  name    = var.name
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  project                             = var.project_id
  region                              = var.region
  name                                = var.name
  router                              = google_compute_router.this.name
  nat_ip_allocate_option              = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat  = "ALL_SUBNETWORKS_ALL_IP_RANGES"
  enable_dynamic_port_allocation      = true
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 64
  max_ports_per_vm                    = 4096

  # Connections that found no port are the ones that somebody looks for.
  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Private services access: Cloud SQL and Memorystore live in Google's network and
# are peered into this range.
resource "google_compute_global_address" "services" {
  project       = var.project_id
  name          = "${var.name}-managed-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = split("/", var.managed_range)[0]
  prefix_length = tonumber(split("/", var.managed_range)[1])
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "this" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
}

# The pooler's address is known before the cluster makes its load balancer, so
# that a name can stand for it.
resource "google_compute_address" "pooler" {
  project      = var.project_id
  region       = var.region
  name         = "${var.name}-pooler"
  description  = "PgBouncer's internal load balancer"
  address_type = "INTERNAL"
  purpose      = "GCE_ENDPOINT"
  subnetwork   = google_compute_subnetwork.machines.id
}

# As the pooler's: where functions reach Hydra's administration.
resource "google_compute_address" "hydra" {
  project      = var.project_id
  region       = var.region
  name         = "${var.name}-hydra"
  description  = "The internal load balancer of Hydra's administration"
  address_type = "INTERNAL"
  purpose      = "GCE_ENDPOINT"
  subnetwork   = google_compute_subnetwork.machines.id
}

resource "google_dns_managed_zone" "internal" {
  project     = var.project_id
  name        = "${var.name}-internal"
  dns_name    = "${var.internal_domain}."
  description = "Names of what has an address inside only"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}

resource "google_dns_record_set" "pooler" {
  project      = var.project_id
  managed_zone = google_dns_managed_zone.internal.name
  name         = "pgbouncer.${google_dns_managed_zone.internal.dns_name}"
  type         = "A"
  ttl          = 60
  rrdatas      = [google_compute_address.pooler.address]
}

resource "google_dns_record_set" "hydra" {
  project      = var.project_id
  managed_zone = google_dns_managed_zone.internal.name
  name         = "hydra.${google_dns_managed_zone.internal.dns_name}"
  type         = "A"
  ttl          = 60
  rrdatas      = [google_compute_address.hydra.address]
}

# A function that calls another is "internal" to it only by way of the network:
# run.app means Google's private addresses here.
resource "google_dns_managed_zone" "run" {
  project     = var.project_id
  name        = "${var.name}-run-app"
  dns_name    = "run.app."
  description = "Cloud Run from inside"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}

resource "google_dns_record_set" "run" {
  for_each = toset(["run.app.", "*.run.app."])

  project      = var.project_id
  managed_zone = google_dns_managed_zone.run.name
  name         = each.value
  type         = "A"
  ttl          = 300
  rrdatas      = local.google_apis
}
