"""What every provider's plugin keeps, and what the providers' own words say of them."""
