output "buckets" {
  description = "Name and ARN of every bucket, known once its policy stands."
  value = {
    for zone, bucket in aws_s3_bucket.this : zone => { name = bucket.id, arn = bucket.arn }
  }

  depends_on = [aws_s3_bucket_policy.this, aws_s3_bucket_versioning.this]
}
