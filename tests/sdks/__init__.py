"""Official SDKs beside this project, against one recorder."""
