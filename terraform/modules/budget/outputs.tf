output "name" {
  description = "The budget."
  value       = google_billing_budget.this.name
}

output "amount" {
  description = "What a month may cost."
  value       = tonumber(google_billing_budget.this.amount[0].specified_amount[0].units)
}
