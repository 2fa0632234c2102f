"""What `pvectl monitor` checks: one small file for each theme, from one look at the cluster to findings."""
