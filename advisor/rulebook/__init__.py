"""How rules are worded: one module per family of rules, each a table of readers. `advisor.rules` runs them."""
