"""AdvAgent's attacks on negotiation agents, a file each."""
