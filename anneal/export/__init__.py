"""What the compiler knows, as documents for other programs and as text for people."""
