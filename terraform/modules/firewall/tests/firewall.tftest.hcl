mock_provider "google" {}

variables {
  project_id      = "example-prod"
  network         = "projects/example-prod/global/networks/coditect"
  functions_range = "10.0.0.0/20"
  machines_range  = "10.0.16.0/24"
  pods_range      = "10.4.0.0/17"
  managed_range   = "10.16.0.0/16"
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "cloudsql" {
  command = plan

  assert {
    condition     = alltrue([for r in google_compute_firewall.deny : r.priority == 65534 && one([for d in r.deny : d.protocol]) == "all"])
    error_message = "What no rule allows is denied."
  }
  assert {
    condition     = toset([for r in google_compute_firewall.deny : r.direction]) == toset(["INGRESS", "EGRESS"])
    error_message = "Denied in both directions."
  }
  assert {
    condition     = tolist(google_compute_firewall.deny["INGRESS"].source_ranges)[0] == "0.0.0.0/0" && tolist(google_compute_firewall.deny["EGRESS"].destination_ranges)[0] == "0.0.0.0/0"
    error_message = "Denied for everybody."
  }
  assert {
    condition     = alltrue([for r in google_compute_firewall.deny : length(r.log_config) == 1 && length(r.deny) == 1])
    error_message = "What is denied is logged."
  }
  assert {
    condition     = alltrue([for r in concat(values(google_compute_firewall.ingress), values(google_compute_firewall.egress), [google_compute_firewall.names]) : length(r.log_config) == 1])
    error_message = "What is allowed is logged."
  }
  assert {
    condition     = alltrue([for r in google_compute_firewall.ingress : !contains(r.source_ranges, "0.0.0.0/0")])
    error_message = "Nothing is let in from everywhere."
  }
  assert {
    condition     = alltrue([for r in google_compute_firewall.ingress : length(r.target_tags) > 0])
    error_message = "What is let in is let in to somebody, not to everything."
  }
  assert {
    condition     = toset([for k, r in google_compute_firewall.ingress : k if contains(flatten([for a in r.allow : a.ports]), "6432")]) == toset(["pooler-from-functions", "cluster-health"])
    error_message = "6432 is open to functions and health checks only."
  }
  assert {
    condition     = google_compute_firewall.ingress["pooler-from-functions"].source_ranges == toset(["10.0.0.0/20"])
    error_message = "PgBouncer takes functions only."
  }
  assert {
    condition     = google_compute_firewall.egress["signin-to-hydra"].target_tags == toset(["signin"]) && google_compute_firewall.egress["signin-to-hydra"].destination_ranges == toset(["10.0.16.0/24"])
    error_message = "Hydra's administration is for who signs people in, and for no other function."
  }
  assert {
    condition     = toset([for k, r in merge(google_compute_firewall.ingress, google_compute_firewall.egress) : k if contains(flatten([for a in r.allow : a.ports]), "4445")]) == toset(["hydra-from-functions", "signin-to-hydra"])
    error_message = "Nothing else reaches Hydra's administration: no load balancer, no health check."
  }
  assert {
    condition     = google_compute_firewall.ingress["hydra-from-functions"].source_ranges == toset(["10.0.0.0/20"]) && google_compute_firewall.ingress["hydra-from-functions"].target_tags == toset(["cluster"])
    error_message = "Hydra's administration takes functions only."
  }
  assert {
    condition     = { for k, r in google_compute_firewall.ingress : k => sort(tolist(r.source_ranges)) if contains(flatten([for a in r.allow : a.ports]), "4444") } == { cluster-health = tolist(["130.211.0.0/22", "35.191.0.0/16"]) }
    error_message = "What browsers see of Hydra is reached by Google's load balancers only."
  }
  assert {
    condition     = length([for r in google_compute_firewall.ingress : r if contains(flatten([for a in r.allow : a.ports]), "5432")]) == 0
    error_message = "With Cloud SQL, 5432 is open on no machine of ours."
  }
  assert {
    condition     = length([for r in concat(values(google_compute_firewall.ingress), values(google_compute_firewall.egress)) : r if contains(flatten([for a in r.allow : a.ports]), "6379")]) == 0
    error_message = "6379, Redis without TLS, is open nowhere."
  }
  assert {
    condition     = toset([for k, r in google_compute_firewall.egress : k if contains(flatten([for a in r.allow : a.ports]), "6378")]) == toset(["functions-to-redis"])
    error_message = "Redis is for functions only."
  }
  assert {
    condition     = google_compute_firewall.egress["functions-to-redis"].target_tags == toset(["functions"]) && google_compute_firewall.egress["functions-to-redis"].destination_ranges == toset(["10.16.0.0/16"])
    error_message = "Functions reach Redis where it is, and not elsewhere."
  }
  assert {
    condition     = toset([for k, r in google_compute_firewall.egress : k if contains(flatten([for a in r.allow : a.ports]), "5432")]) == toset(["cluster-to-managed", "migrator-to-database"])
    error_message = "The database is reached by the cluster and the migration job only."
  }
  assert {
    condition     = google_compute_firewall.egress["cluster-to-managed"].target_tags == toset(["cluster"]) && google_compute_firewall.egress["cluster-to-managed"].destination_ranges == toset(["10.16.0.0/16"])
    error_message = "Functions do not go past the pooler."
  }
  assert {
    condition     = alltrue([for r in google_compute_firewall.egress : alltrue([for a in r.allow : a.ports == tolist(["443"])]) if contains(r.destination_ranges, "0.0.0.0/0")])
    error_message = "The internet is reached on 443 only."
  }
}

run "citus" {
  command = plan
  variables { citus = true }

  assert {
    condition     = google_compute_firewall.ingress["database-from-pooler"].target_tags == toset(["database"])
    error_message = "5432 is open on database machines only."
  }
  assert {
    condition     = try(google_compute_firewall.egress["cluster-to-managed"].target_tags == toset(["cluster"]) && google_compute_firewall.egress["cluster-to-managed"].destination_ranges == toset(["10.16.0.0/16"]), false)
    error_message = "Beside Citus, Hydra reaches its database on the managed instance."
  }
  assert {
    condition     = google_compute_firewall.egress["pooler-to-database"].target_tags == toset(["cluster"]) && google_compute_firewall.egress["pooler-to-database"].destination_ranges == toset(["10.0.16.0/24"])
    error_message = "PgBouncer reaches the coordinator, and functions do not."
  }
  assert {
    condition     = google_compute_firewall.ingress["database-itself"].source_ranges == toset(["10.0.16.0/24"])
    error_message = "Workers take nodes only: who reaches one could write into shards."
  }
  assert {
    condition     = google_compute_firewall.ingress["consensus"].target_tags == toset(["consensus"]) && google_compute_firewall.ingress["consensus"].source_ranges == toset(["10.0.16.0/24"])
    error_message = "etcd is for database machines only."
  }
  assert {
    condition     = google_compute_firewall.ingress["shell"].source_ranges == toset(["35.235.240.0/20"])
    error_message = "A shell only through the identity-aware proxy."
  }
  assert {
    condition     = toset([for k, r in google_compute_firewall.ingress : k if contains(flatten([for a in r.allow : a.ports]), "22")]) == toset(["shell"])
    error_message = "22 is open to nobody else."
  }
  assert {
    condition     = google_compute_firewall.ingress["database-health"].source_ranges == toset(["130.211.0.0/22", "35.191.0.0/16"])
    error_message = "Health checks come from Google's ranges."
  }
}

run "refuses_ranges_of_ports" {
  command = plan
  variables { ports = { postgres = "5432-6432" } }
  expect_failures = [var.ports]
}

run "refuses_one_tag_for_two" {
  command = plan
  variables { tags = { functions = "all", cluster = "all" } }
  expect_failures = [var.tags]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id          = "X"
    name                = "Coditect"
    network             = "default"
    functions_range     = "0.0.0.0/0"
    machines_range      = "0.0.0.0/0"
    pods_range          = "0.0.0.0/0"
    managed_range       = "10.16.0.0"
    control_plane_range = "8.8.8.0/28"
  }
  expect_failures = [var.project_id, var.name, var.network, var.functions_range, var.machines_range, var.pods_range, var.managed_range, var.control_plane_range]
}
