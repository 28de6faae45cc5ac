"""What a driver imports before its first step; imported once, by the server that all drivers are forked from."""

import fcntl  # noqa: F401
import os

import fvcore.nn  # noqa: F401
import safetensors.torch  # noqa: F401
import torch
import torch._dynamo
import torch_pruning  # noqa: F401

import harness.cli.run
import harness.execute.inline
import harness.execute.job
import harness.registry
import harness.suite.load

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
harness.registry.methods()
