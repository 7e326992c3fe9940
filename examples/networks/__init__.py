"""Networks of the literature, written with `samara.nn` alone.

Each file runs on PyTorch too when its import line is changed; the benchmarks do exactly that.
"""
