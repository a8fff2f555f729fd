"""How good the pictures are: what judges and rulers say of them, and sheets for eyes, blind if wanted."""
