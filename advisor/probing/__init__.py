"""Probes: the bot is asked again with one thing changed, and what turns its failures names the remedy."""
