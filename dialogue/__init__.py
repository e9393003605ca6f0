"""Adversarial agents against negotiation agents (AdvAgent). Nothing is here yet."""
