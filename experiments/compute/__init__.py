"""Where blocks run: threads of this process, or processes that Dask finds."""
