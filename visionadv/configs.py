"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

__all__ = ["BadInput"]


class BadInput(Exception):
    """A user's mistake. One line: what is wrong, and what would be right."""
