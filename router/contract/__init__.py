"""What a good reply must satisfy, and whether one does: rules, their checkers, JSON and tool schemas."""
