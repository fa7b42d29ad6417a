"""The compared methods in plain PyTorch on the towers of `transformers`.

CoOp, CoOp+KDPL, and CoOp+FDBPL as its authors released it: full prompts of 77 tokens,
and images through the image tower at every step. With the usual optimisations: no
gradients of frozen parts, fused attention, autocast on a GPU, data loading in workers.
A test compares their losses and gradients with ours.
"""
