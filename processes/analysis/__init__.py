"""What analytics methods have in common: parameters, reading, aligning, weighing, adding up."""
