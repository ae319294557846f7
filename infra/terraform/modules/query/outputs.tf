output "workgroup" {
  description = "The workgroup's name."
  value       = aws_athena_workgroup.this.name
}

output "named_queries" {
  description = "The id of every named query."
  value       = { for name, query in aws_athena_named_query.this : name => query.id }
}

output "analyst_policy_arn" {
  description = "The policy for people and programs that query."
  value       = aws_iam_policy.analyst.arn
}
