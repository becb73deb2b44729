"""How a run goes on whatever happens.

lock, manifest, journal        who works in the folder, on what, and what is done
worker, crew, dispatch, beat   processes, their tasks, and signs of life
shard_file, suspects           a shard that is whole or not there, and documents that kill
progress, memory, summary      what people are told
"""
