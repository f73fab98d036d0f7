"""What a fit is and how it goes on."""
