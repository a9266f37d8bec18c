"""The commands `rerank eval`, `rerank compare` and `rerank calibrate`."""
