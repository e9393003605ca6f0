"""Adversarial agents against negotiation agents (AdvAgent). The game, its corpus, the agent and self-play, so far."""
