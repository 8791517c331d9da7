mock_provider "google" {}

variables {
  billing_account = "012345-6789AB-CDEF01"
  project_id      = "example-prod"
  project_number  = "123456789012"
  amount          = 10000
}

run "example" {
  command = plan
  module { source = "./examples/basic" }
}

run "defaults" {
  command = plan

  assert {
    condition     = google_billing_budget.this.amount[0].specified_amount[0].units == "10000"
    error_message = "The amount is the environment's."
  }
  assert {
    condition     = [for r in google_billing_budget.this.threshold_rules : r.threshold_percent if r.spend_basis == "CURRENT_SPEND"] == [0.5, 0.8, 1]
    error_message = "Somebody is told at 50, 80 and 100 percent."
  }
  assert {
    condition     = length([for r in google_billing_budget.this.threshold_rules : r if r.spend_basis == "FORECASTED_SPEND"]) == 1
    error_message = "Somebody is told before it is spent."
  }
  assert {
    condition     = google_billing_budget.this.budget_filter[0].projects == toset(["projects/123456789012"])
    error_message = "The budget is this project's."
  }
  assert {
    condition     = google_billing_budget.this.budget_filter[0].calendar_period == "MONTH"
    error_message = "The budget is a month's."
  }
}

run "refuses_silence_at_the_end" {
  command = plan
  variables { thresholds = [0.5] }
  expect_failures = [var.thresholds]
}

run "refuses_nonsense" {
  command = plan
  variables {
    project_id     = "X"
    project_number = "example"
    currency       = "dollars"
  }
  expect_failures = [var.project_id, var.project_number, var.currency]
}
