"""What stands behind `pvectl monitor`: the look and its pages."""
