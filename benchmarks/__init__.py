"""Speed and memory compared with PyTorch: `python -m benchmarks.run`."""
