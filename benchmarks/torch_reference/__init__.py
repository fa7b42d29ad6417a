"""What people run today, written plainly in PyTorch on the towers of `transformers`.

CoOp, CoOp+KDPL, and CoOp+FDBPL as its authors released it: whole prompts of 77 tokens,
and images through the image tower at every step. What a competent user of PyTorch does
is done: no gradients in what is frozen, fused attention, autocast on a GPU, workers
that load data. A test holds their losses and gradients against ours.
"""
