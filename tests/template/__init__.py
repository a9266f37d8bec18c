"""The template for new plugins, and the command that writes one."""
