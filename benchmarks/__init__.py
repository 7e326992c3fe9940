"""Side-by-side measurements of Samara and PyTorch, in one run on one machine."""
