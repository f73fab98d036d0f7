"""All that touches AnnData and MuData."""
