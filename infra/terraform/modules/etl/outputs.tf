output "jobs" {
  description = "The name of every dataset's job."
  value       = { for dataset, job in aws_glue_job.this : dataset => job.name }
}

output "role" {
  description = "The jobs' role."
  value       = aws_iam_role.job.name

  # A job that starts before its role may read would fail.
  depends_on = [aws_iam_role_policy.job]
}
