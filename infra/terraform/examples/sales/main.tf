# The sales lake, as `lakehead init` writes it. Copy this folder, point lake_dir at your own lake, and say where the state
# is kept (a backend block); or let `lakehead deploy` do it.

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Application = "lakehead"
      Lake        = "sales"
      Environment = var.environment
    }
  }
}

module "lake" {
  source = "../.."

  lake_dir            = var.lake_dir
  name                = "sales"
  environment         = var.environment
  buckets             = var.buckets
  metadata_sync       = var.metadata_sync
  poll_seconds        = var.poll_seconds
  job                 = { script = var.script, bundle = var.bundle }
  notification_emails = var.notification_emails
  force_destroy       = var.force_destroy
}
