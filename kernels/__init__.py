"""Triton kernels: plain launchers over torch tensors. Import them as `mas_fast.kernels`."""

if __name__ != "mas_fast.kernels":
    raise ImportError(
        f"this folder was imported as {__name__!r}, but it is the package mas_fast.kernels: "
        "write `import mas_fast.kernels`, and start Python outside the repository root where "
        "you want the `kernels` package of PyPI"
    )
