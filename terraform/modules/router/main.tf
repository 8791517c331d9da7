# The edge: the router on Cloud Run behind a load balancer that speaks TLS, with
# Cloud Armor before it. Functions that everyone may call (webhooks) stand behind
# the same load balancer, each on its own path.

locals {
  email    = "${google_service_account.this.account_id}@${var.project_id}.iam.gserviceaccount.com"
  services = merge({ router = google_cloud_run_v2_service.this.name }, { for name, w in var.webhooks : name => w.service })

  # Where browsers and clients of OAuth find Hydra. The name is reserved, so that no
  # tenant has it (shared/subdomain), and the certificate's pattern covers it.
  oauth_host = "oauth.${var.base_domain}"
  # What they need of it. Registering clients, Hydra's health and version are not for
  # the world; what is not named here is the router's, which knows no such tenant.
  oauth_paths = [
    "/.well-known/jwks.json", "/.well-known/openid-configuration",
    "/oauth2/auth", "/oauth2/fallbacks/*", "/oauth2/revoke", "/oauth2/sessions/logout", "/oauth2/token", "/userinfo",
  ]

  # OWASP's core rule set. Sensitivity 1 has few false alarms; what an API like
  # ours never takes (PHP, Java) may be stricter later. Not its rule of methods, which
  # knows GET, HEAD, POST and OPTIONS only: ours is below.
  owasp = ["sqli", "xss", "lfi", "rfi", "rce", "scannerdetection", "protocolattack", "sessionfixation"]
}

resource "google_service_account" "this" {
  project      = var.project_id
  account_id   = "router"
  display_name = "The router"
}

resource "google_cloud_run_v2_service" "this" {
  project              = var.project_id
  location             = var.region
  name                 = "router"
  description          = "The edge"
  deletion_protection  = var.deletion_protection
  labels               = var.labels
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = false

  binary_authorization {
    use_default = true
  }

  template {
    service_account                  = local.email
    timeout                          = "60s"
    max_instance_request_concurrency = 200
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    # Everything by the network: that is what makes the router's calls internal.
    vpc_access {
      egress = "ALL_TRAFFIC"
      network_interfaces {
        network    = var.network
        subnetwork = var.subnetwork
        tags       = [var.network_tag]
      }
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = "2"
          memory = "512Mi"
        }
        # It leases limits and gathers counts between requests.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      startup_probe {
        timeout_seconds   = 2
        period_seconds    = 2
        failure_threshold = 30
        http_get {
          path = "/livez"
          port = 8080
        }
      }

      liveness_probe {
        timeout_seconds   = 2
        period_seconds    = 10
        failure_threshold = 3
        http_get {
          path = "/livez"
          port = 8080
        }
      }

      dynamic "env" {
        for_each = merge(var.env, {
          GOOGLE_CLOUD_PROJECT   = var.project_id
          DEPLOYMENT_ENVIRONMENT = var.environment
          BASE_DOMAIN            = var.base_domain
          ALLOWED_ORIGINS        = join(",", var.origins)
          # The load balancer adds the client's address and its own.
          TRUSTED_HOPS     = "2"
          UPSTREAMS        = join(",", [for name, url in var.upstreams : "${name}=${url}"])
          ROUTER_NUDGE_URL = var.relay_url
          SECRETS_DIR      = "/secrets"
          SSL_CERT_DIR     = "/authorities/redis-ca"
        })
        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "REDIS_URL"
        value_source {
          secret_key_ref {
            secret  = lookup(var.secret_ids, "redis-url", "redis-url")
            version = lookup(var.secret_versions, "redis-url", "latest")
          }
        }
      }

      volume_mounts {
        name       = "hop-key"
        mount_path = "/secrets/hop-key"
      }
      volume_mounts {
        name       = "redis-ca"
        mount_path = "/authorities/redis-ca"
      }
    }

    dynamic "volumes" {
      for_each = toset(["hop-key", "redis-ca"])
      content {
        name = volumes.value
        secret {
          secret       = lookup(var.secret_ids, volumes.value, volumes.value)
          default_mode = 292 # 0444
          items {
            version = "latest"
            path    = "latest"
          }
        }
      }
    }
  }

  lifecycle {
    # The pipeline's, as with functions.
    ignore_changes = [template[0].containers[0].image, template[0].revision, traffic, client, client_version]

    precondition {
      condition     = var.min_instances <= var.max_instances
      error_message = "More instances are kept (${var.min_instances}) than there may be (${var.max_instances})."
    }
  }
}

# The world may call it: by the load balancer, as its ingress says.
resource "google_cloud_run_v2_service_iam_member" "everyone" {
  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_compute_region_network_endpoint_group" "this" {
  for_each = local.services

  project               = var.project_id
  region                = var.region
  name                  = "${var.name}-${each.key}"
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value
  }
}

resource "google_compute_backend_service" "this" {
  for_each = local.services

  project               = var.project_id
  name                  = "${var.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this.id

  backend {
    group = google_compute_region_network_endpoint_group.this[each.key].id
  }

  log_config {
    enable      = true
    sample_rate = var.log_sample
  }
}

# Hydra's pods, which have certificates of their own: TLS goes as far as they are.
resource "google_compute_health_check" "hydra" {
  count = length(var.hydra_groups) == 0 ? 0 : 1

  project             = var.project_id
  name                = "${var.name}-hydra"
  check_interval_sec  = 10
  timeout_sec         = 5
  healthy_threshold   = 1
  unhealthy_threshold = 3

  https_health_check {
    port_specification = "USE_SERVING_PORT"
    request_path       = "/health/ready"
  }
}

resource "google_compute_backend_service" "hydra" {
  count = length(var.hydra_groups) == 0 ? 0 : 1

  project                         = var.project_id
  name                            = "${var.name}-hydra"
  load_balancing_scheme           = "EXTERNAL_MANAGED"
  protocol                        = "HTTPS"
  timeout_sec                     = 30
  connection_draining_timeout_sec = 30
  security_policy                 = google_compute_security_policy.this.id
  health_checks                   = [google_compute_health_check.hydra[0].id]

  dynamic "backend" {
    for_each = toset(var.hydra_groups)
    content {
      group                 = backend.value
      balancing_mode        = "RATE"
      max_rate_per_endpoint = 100
    }
  }

  log_config {
    enable      = true
    sample_rate = var.log_sample
  }
}

resource "google_compute_security_policy" "this" {
  project     = var.project_id
  name        = var.name
  description = "Limits for an address, and OWASP's core rules, before a request costs us anything"
  type        = "CLOUD_ARMOR"

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable          = true
      rule_visibility = "STANDARD"
    }
  }

  advanced_options_config {
    json_parsing = "STANDARD"
    log_level    = "NORMAL"
  }

  # The router's own limits are finer; this one is for floods, and bans who goes on.
  rule {
    action      = "rate_based_ban"
    priority    = 1000
    description = "Floods of one address"

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action   = "allow"
      exceed_action    = "deny(429)"
      enforce_on_key   = "IP"
      ban_duration_sec = 300

      rate_limit_threshold {
        count        = var.requests_per_minute
        interval_sec = 60
      }
      ban_threshold {
        count        = var.requests_per_minute * 3
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 150
    description = "Methods that no operation has"

    match {
      expr {
        expression = "!request.method.matches('^(DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT)$')"
      }
    }
  }

  dynamic "rule" {
    for_each = local.owasp
    content {
      action      = "deny(403)"
      priority    = 100 + rule.key
      description = "OWASP: ${rule.value}"
      preview     = var.owasp_preview

      match {
        expr {
          expression = "evaluatePreconfiguredWaf('${rule.value}-v33-stable', {'sensitivity': 1})"
        }
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everything else"

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_certificate_manager_dns_authorization" "this" {
  project     = var.project_id
  name        = var.name
  description = "Proof that ${var.base_domain} is ours, also for its subdomains"
  domain      = var.base_domain
}

# A tenant's subdomain is covered by the pattern.
resource "google_certificate_manager_certificate" "this" {
  project = var.project_id
  name    = var.name
  labels  = var.labels

  managed {
    domains            = [var.base_domain, "*.${var.base_domain}"]
    dns_authorizations = [google_certificate_manager_dns_authorization.this.id]
  }
}

resource "google_certificate_manager_certificate_map" "this" {
  project = var.project_id
  name    = var.name
  labels  = var.labels
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  for_each = { apex = var.base_domain, tenants = "*.${var.base_domain}" }

  project      = var.project_id
  name         = "${var.name}-${each.key}"
  map          = google_certificate_manager_certificate_map.this.name
  hostname     = each.value
  certificates = [google_certificate_manager_certificate.this.id]
}

resource "google_compute_ssl_policy" "this" {
  project         = var.project_id
  name            = var.name
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_global_address" "this" {
  project      = var.project_id
  name         = var.name
  address_type = "EXTERNAL"
  ip_version   = "IPV4"
}

resource "google_compute_url_map" "this" {
  project         = var.project_id
  name            = var.name
  default_service = google_compute_backend_service.this["router"].id

  dynamic "host_rule" {
    for_each = length(var.webhooks) == 0 ? [] : [1]
    content {
      hosts        = ["*"]
      path_matcher = "webhooks"
    }
  }

  dynamic "path_matcher" {
    for_each = length(var.webhooks) == 0 ? [] : [1]
    content {
      name            = "webhooks"
      default_service = google_compute_backend_service.this["router"].id

      dynamic "path_rule" {
        for_each = var.webhooks
        content {
          paths   = [path_rule.value.path]
          service = google_compute_backend_service.this[path_rule.key].id
        }
      }
    }
  }

  dynamic "host_rule" {
    for_each = google_compute_backend_service.hydra
    content {
      hosts        = [local.oauth_host]
      path_matcher = "oauth"
    }
  }

  dynamic "path_matcher" {
    for_each = google_compute_backend_service.hydra
    content {
      name            = "oauth"
      default_service = google_compute_backend_service.this["router"].id

      path_rule {
        paths   = local.oauth_paths
        service = path_matcher.value.id
      }
    }
  }
}

resource "google_compute_target_https_proxy" "this" {
  project         = var.project_id
  name            = var.name
  url_map         = google_compute_url_map.this.id
  ssl_policy      = google_compute_ssl_policy.this.id
  certificate_map = "//certificatemanager.googleapis.com/projects/${var.project_id}/locations/global/certificateMaps/${google_certificate_manager_certificate_map.this.name}"
  quic_override   = "ENABLE"
}

resource "google_compute_global_forwarding_rule" "https" {
  project               = var.project_id
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this.id
  labels                = var.labels
}

# Who forgets the s is sent on, and never served.
resource "google_compute_url_map" "redirect" {
  project = var.project_id
  name    = "${var.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT"
    strip_query            = false
  }
}

resource "google_compute_target_http_proxy" "redirect" {
  project = var.project_id
  name    = "${var.name}-redirect"
  url_map = google_compute_url_map.redirect.id
}

resource "google_compute_global_forwarding_rule" "http" {
  project               = var.project_id
  name                  = "${var.name}-redirect"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect.id
  labels                = var.labels
}
