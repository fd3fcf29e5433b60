"""What comes by HTTP, whichever app it is for."""
