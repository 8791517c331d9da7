mock_provider "google" {
  # What others refer to by id must look like one.
  mock_resource "google_certificate_manager_dns_authorization" {
    defaults = { id = "projects/example-prod/locations/global/dnsAuthorizations/edge" }
  }
}

variables {
  project_id  = "example-prod"
  region      = "europe-west1"
  environment = "production"
  base_domain = "example.com"
  origins     = ["https://app.example.com"]
  image       = "europe-west1-docker.pkg.dev/example-prod/images/router@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  upstreams   = { auth = "https://auth-123456789012.europe-west1.run.app", tasks = "https://tasks-123456789012.europe-west1.run.app" }
  relay_url   = "https://outboxrelay-123456789012.europe-west1.run.app"
  network     = "projects/example-prod/global/networks/coditect"
  subnetwork  = "projects/example-prod/regions/europe-west1/subnetworks/coditect-functions"
  webhooks    = { stripewebhook = { service = "stripewebhook", path = "/api/v1/webhooks/stripe/" } }
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "The router is reached by the load balancer only."
  }
  assert {
    condition     = google_cloud_run_v2_service_iam_member.everyone.member == "allUsers" && google_cloud_run_v2_service_iam_member.everyone.role == "roles/run.invoker"
    error_message = "The world may call the router."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].vpc_access[0].egress == "ALL_TRAFFIC"
    error_message = "The router's calls go by the network, or functions refuse them."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].cpu_idle == false
    error_message = "The router works between requests."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count >= 1
    error_message = "The router is always there."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe[0].http_get[0].path == "/livez"
    error_message = "A router that hangs is started again."
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].service_account == "router@example-prod.iam.gserviceaccount.com"
    error_message = "The router has an account of its own."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "TRUSTED_HOPS"]) == "2"
    error_message = "The client's address is the one that the load balancer saw."
  }
  assert {
    condition     = one([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value if e.name == "UPSTREAMS"]) == "auth=https://auth-123456789012.europe-west1.run.app,tasks=https://tasks-123456789012.europe-west1.run.app"
    error_message = "The router knows every function."
  }
  assert {
    condition     = length([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e if e.name == "DATABASE_URL"]) == 0
    error_message = "The router has no database."
  }
  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "TLS 1.2 at least."
  }
  assert {
    condition     = google_compute_ssl_policy.this.profile == "RESTRICTED"
    error_message = "Only today's cipher suites."
  }
  assert {
    condition     = google_compute_global_forwarding_rule.https.port_range == "443" && google_compute_global_forwarding_rule.https.load_balancing_scheme == "EXTERNAL_MANAGED"
    error_message = "The API is served on 443."
  }
  assert {
    condition     = google_compute_url_map.redirect.default_url_redirect[0].https_redirect && length(google_compute_url_map.redirect.path_matcher) == 0
    error_message = "Port 80 redirects, and serves nothing."
  }
  assert {
    condition     = google_certificate_manager_certificate.this.managed[0].domains == tolist(["example.com", "*.example.com"])
    error_message = "The certificate covers tenants' subdomains."
  }
  assert {
    condition     = toset(keys(google_compute_backend_service.this)) == toset(["router", "stripewebhook"])
    error_message = "Behind the load balancer are the router and the webhook."
  }
  assert {
    condition     = alltrue([for b in google_compute_backend_service.this : b.load_balancing_scheme == "EXTERNAL_MANAGED" && b.log_config[0].enable])
    error_message = "Requests are logged."
  }
  assert {
    condition     = one([for m in google_compute_url_map.this.path_matcher : one([for r in m.path_rule : one(r.paths)])]) == "/api/v1/webhooks/stripe/"
    error_message = "The webhook has its own path."
  }
  assert {
    condition     = length(google_compute_backend_service.hydra) == 0 && output.oauth_url == null
    error_message = "Without groups of endpoints nothing leads to Hydra."
  }
}

run "hydra" {
  variables {
    hydra_groups = ["projects/example-prod/zones/europe-west1-b/networkEndpointGroups/coditect-hydra", "projects/example-prod/zones/europe-west1-c/networkEndpointGroups/coditect-hydra"]
  }

  assert {
    condition     = toset([for b in google_compute_backend_service.hydra[0].backend : b.group]) == toset(var.hydra_groups)
    error_message = "Hydra's pods are reached in every zone."
  }
  assert {
    condition     = google_compute_backend_service.hydra[0].protocol == "HTTPS" && length(google_compute_health_check.hydra[0].https_health_check) == 1
    error_message = "TLS goes as far as Hydra's pods, for health checks, too."
  }
  assert {
    condition     = google_compute_backend_service.hydra[0].security_policy == google_compute_security_policy.this.id
    error_message = "Cloud Armor is before Hydra as before the router."
  }
  assert {
    condition     = google_compute_backend_service.hydra[0].log_config[0].enable
    error_message = "Requests of Hydra are logged."
  }
  assert {
    condition     = { for h in google_compute_url_map.this.host_rule : h.path_matcher => one(h.hosts) } == { webhooks = "*", oauth = "oauth.example.com" }
    error_message = "Hydra has a host of its own, and takes none of the router's."
  }
  assert {
    condition = one([for m in google_compute_url_map.this.path_matcher : toset(flatten([for r in m.path_rule : r.paths])) if m.name == "oauth"]) == toset([
      "/.well-known/jwks.json", "/.well-known/openid-configuration",
      "/oauth2/auth", "/oauth2/fallbacks/*", "/oauth2/revoke", "/oauth2/sessions/logout", "/oauth2/token", "/userinfo",
    ])
    error_message = "The world sees of Hydra what browsers and clients need, and nothing else."
  }
  assert {
    condition     = one([for m in google_compute_url_map.this.path_matcher : m.default_service if m.name == "oauth"]) == google_compute_backend_service.this["router"].id
    error_message = "What is not named of Hydra's host is the router's."
  }
  assert {
    condition     = output.oauth_url == "https://oauth.example.com"
    error_message = "Hydra's tokens are from its host."
  }
}

# Applied to the mock: in a plan a set with one unknown value is unknown altogether.
run "armor" {
  assert {
    condition     = toset([for r in google_compute_security_policy.this.rule : r.description if startswith(r.description, "OWASP") && r.action == "deny(403)" && r.preview == false]) == toset([for r in ["sqli", "xss", "lfi", "rfi", "rce", "scannerdetection", "protocolattack", "sessionfixation"] : "OWASP: ${r}"])
    error_message = "OWASP's rules refuse."
  }
  assert {
    condition     = one([for r in google_compute_security_policy.this.rule : r.action if strcontains(try(r.match[0].expr[0].expression, ""), "request.method")]) == "deny(403)"
    error_message = "Methods that no operation has are refused."
  }
  assert {
    condition     = one([for r in google_compute_security_policy.this.rule : r.rate_limit_options[0].rate_limit_threshold[0].count if r.action == "rate_based_ban"]) == 3000
    error_message = "Floods of one address are stopped."
  }
  assert {
    condition     = one([for r in google_compute_security_policy.this.rule : r.rate_limit_options[0].exceed_action if r.action == "rate_based_ban"]) == "deny(429)"
    error_message = "Who floods is told so."
  }
  assert {
    condition     = length(distinct([for r in google_compute_security_policy.this.rule : r.priority])) == length(google_compute_security_policy.this.rule)
    error_message = "No two rules have one priority."
  }
  assert {
    condition     = max([for r in google_compute_security_policy.this.rule : r.priority]...) == 2147483647
    error_message = "There is a rule for everything else."
  }
  assert {
    condition     = alltrue([for r in google_compute_security_policy.this.rule : r.priority < 1000 if startswith(r.description, "OWASP")])
    error_message = "OWASP's rules come before the limit, which lets through what conforms."
  }
}

run "refuses_a_tag" {
  command = plan
  variables { image = "europe-west1-docker.pkg.dev/example-prod/images/router:latest" }
  expect_failures = [var.image]
}

run "refuses_every_origin" {
  command = plan
  variables { origins = ["*"] }
  expect_failures = [var.origins]
}

run "refuses_plain_http" {
  command = plan
  variables { upstreams = { tasks = "http://tasks.example.com" } }
  expect_failures = [var.upstreams]
}

run "refuses_a_group_of_no_zone" {
  command = plan
  variables { hydra_groups = ["projects/example-prod/regions/europe-west1/networkEndpointGroups/coditect-hydra"] }
  expect_failures = [var.hydra_groups]
}

run "refuses_no_instance" {
  command = plan
  variables { min_instances = 0 }
  expect_failures = [var.min_instances]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id    = "X"
    region        = "europe"
    name          = "Coditect"
    relay_url     = "http://outboxrelay"
    network       = "default"
    subnetwork    = "default"
    network_tag   = "All functions"
    max_instances = 0
    log_sample    = 0
  }
  expect_failures = [var.project_id, var.region, var.name, var.relay_url, var.network, var.subnetwork, var.network_tag, var.max_instances, var.log_sample]
}
