output "database" {
  description = "The database's name."
  value       = aws_glue_catalog_database.this.name
}

output "crawlers" {
  description = "The names of every dataset's two crawlers."
  value = {
    for dataset in keys(var.datasets) : dataset => {
      raw       = aws_glue_crawler.raw[dataset].name
      processed = aws_glue_crawler.processed[dataset].name
    }
  }
}

output "role" {
  description = "The crawlers' role."
  value       = aws_iam_role.crawler.name
}
