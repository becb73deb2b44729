"""One process or many: what they tell each other, and what is kept of them all.

distributed    who they are, as `torchrun` says
names          the plain names of parameters, whatever a model is wrapped in
sharded        tensors of which each process has a part
replicas       wrapping a model for all, collecting its state and giving it back
randomness     the random states of all
"""
