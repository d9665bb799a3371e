"""What would fail at the provider, or spoil the model, found before a cent is spent."""
