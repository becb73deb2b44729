"""Where the workers of a run are.

engine                              what an engine is, and which there are
local                               processes of this machine
shard_annotator                     a worker of an engine that has no view of its processes
ray_session, ray_data, ray_engine   actors of Ray, on this machine or on a cluster
partition                           the annotator without a run, for other engines
"""
