"""What stands behind `pvectl demo`: the cluster it plays with and the tour."""
