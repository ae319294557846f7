"""The web console: what a data engineer keeps open all day, and the JSON API behind it."""
