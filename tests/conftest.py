"""What all tests share: hypothesis without deadlines, and one thread for networks so small."""

import torch
from hypothesis import settings

settings.register_profile("lstmcli", deadline=None, derandomize=True)
settings.load_profile("lstmcli")
# Several threads wait for each other far longer than these networks take to compute.
torch.set_num_threads(1)
