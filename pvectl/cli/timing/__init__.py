"""What stands behind `pvectl timers`: what is set up where, and the pages."""
