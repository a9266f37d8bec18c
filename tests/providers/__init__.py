"""What holds for every provider that sends, tried over all of them."""
