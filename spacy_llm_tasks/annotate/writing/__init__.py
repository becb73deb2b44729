"""What comes out: annotated rows in files, what went wrong, and the report for people."""
