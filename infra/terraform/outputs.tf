output "buckets" {
  description = "Names of the raw, processed and artifacts bucket."
  value       = { for zone, bucket in module.storage.buckets : zone => bucket.name }
}

output "database" {
  description = "The catalog's database."
  value       = module.catalog.database
}

output "workgroup" {
  description = "The Athena workgroup whose settings every query keeps to."
  value       = module.query.workgroup
}

output "named_queries" {
  description = "The id of every named query."
  value       = module.query.named_queries
}

output "topic_arn" {
  description = "Where loads, failures and alarms are told."
  value       = module.notify.topic_arn
}

output "state_machines" {
  description = "The state machine of every dataset."
  value       = module.workflow.state_machines
}

output "jobs" {
  description = "The name of every dataset's ETL job."
  value       = module.etl.jobs
}

output "crawlers" {
  description = "The names of every dataset's raw and processed crawler."
  value       = module.catalog.crawlers
}

output "rules" {
  description = "The event rule of every dataset."
  value       = module.events.rules
}

output "dead_letter_queue_url" {
  description = "Where events go that started no execution."
  value       = module.events.dead_letter_queue.url
}

output "roles" {
  description = "The role of every service."
  value = {
    crawler = module.catalog.role
    etl     = module.etl.role
    events  = module.events.role
    states  = module.workflow.role
  }
}

output "analyst_policy_arn" {
  description = "The policy for people and programs that query: attach it to a group or a role."
  value       = module.query.analyst_policy_arn
}

output "dashboard" {
  description = "The CloudWatch dashboard's name."
  value       = module.monitor.dashboard
}
