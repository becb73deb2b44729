"""What a corpus is: files, the rows in them, and the shards that it is cut into.

input_files, inputs, formats   which files there are, and how each kind is read
read_settings, columns, rows   what is asked for, and what a row is
shards, survey, id_register    how rows are cut into shards and counted, and ids found twice
"""
