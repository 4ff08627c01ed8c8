"""Plans and the devices that run them."""
