"""Settings that every test runs under."""

import torch

# Test models are tiny: one thread is fastest, and parallel test runs do not fight over the cores.
torch.set_num_threads(1)
