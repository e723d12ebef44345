"""How a block is computed: draw, estimate, and what an error leaves behind."""
