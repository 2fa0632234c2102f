"""What the suites of several rooms share."""
