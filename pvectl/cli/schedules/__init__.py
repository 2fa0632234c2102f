"""What stands behind `pvectl scheduled-shutdown`: the course of an occurrence, its books, its pages."""
