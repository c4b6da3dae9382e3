"""The click programs behind the commands at the root."""
