"""The command line: `rerank`."""
