"""One reader for each kind of file: from a file to rows, one at a time."""
