"""One writer for each kind of file: from annotated rows to a file."""
