"""One step: gradients into weights.

muon, optimizers    AdamW and Muon over one model
schedules           how the learning rate rises and falls
precision           bfloat16 and float16, with scaling and clipping
average             the moving average of the weights
recompute           activations that are computed again instead of kept
allocator           memory that is kept between steps
tally               what was measured meanwhile
update              all of these in a step
"""
