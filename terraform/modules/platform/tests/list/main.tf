# What functions.json says, for the test to compare with.

locals {
  all = jsondecode(file("${path.module}/../../../../../functions/functions.json")).functions
}

output "functions" {
  value = [for f in local.all : f.name]
}

output "schedules" {
  value = [for f in local.all : f.name if f.kind == "schedule"]
}

# The longest gap of each form that the list has, in seconds, counted by hand: a
# schedule of another form wants its line here.
output "gaps" {
  value = { for f in local.all : f.name => {
    "* * * * *"    = 60
    "*/5 * * * *"  = 300
    "*/15 * * * *" = 900
    "10 */6 * * *" = 21600
    "20 2 * * *"   = 86400
    "40 3 * * *"   = 86400
    "30 1,7 * * *" = 64800
  }[f.cron] if f.kind == "schedule" }
}

output "queues" {
  value = [for f in local.all : f.queue.name if f.kind == "task"]
}

output "subscriptions" {
  value = [for f in local.all : f.name if f.kind == "pubsub"]
}

output "open" {
  value = [for f in local.all : f.name if contains(f.invokers, "everyone")]
}

output "images" {
  value = { for name in concat([for f in local.all : f.name], ["router", "migrate"]) : name => "europe-west1-docker.pkg.dev/example/images/${name}@sha256:${sha256(name)}" }
}

output "access" {
  value = jsonencode(jsondecode(file("${path.module}/../../../../access.json")).functions)
}
