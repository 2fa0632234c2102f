"""What the administrator wrote down: connections, secrets and jobs."""
