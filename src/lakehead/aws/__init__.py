"""What runs on AWS: the Glue job, the ground on which its Spark exchanges files, and the bundle that carries both."""
