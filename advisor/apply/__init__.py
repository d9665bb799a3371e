"""Carrying remedies out: tried in staging, proved, applied, taken back. The one package that changes the world."""
