"""Training examples, recipes, jobs and adapters. Imports no sibling package."""
