"""What is wrong, what is fine, and what could not be checked: one look at a whole cluster, judged and told."""
