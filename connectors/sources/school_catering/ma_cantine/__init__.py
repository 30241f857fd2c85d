"""ma cantine, the national platform of public catering: purchases and canteens, in files that are imported there."""
