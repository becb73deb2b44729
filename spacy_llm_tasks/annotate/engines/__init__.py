"""Where the workers of a run are: processes of this machine, or actors of Ray."""
