output "lake" {
  description = "Everything that the environment consists of, by name."
  value       = module.lake
}
