output "platform" {
  description = "What the environment consists of."
  value       = module.platform
}
