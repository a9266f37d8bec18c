"""The rules about the repository itself."""
