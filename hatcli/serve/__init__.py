"""The web page, its HTTP API, the queue under it, and the processes that do the work; the server imports no PyTorch."""
